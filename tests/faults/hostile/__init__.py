"""Hostile input: kinds of it, the inputs that it is tried on, and what watches how that ends."""
