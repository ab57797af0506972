"""Whole frames of any size, in stretches of points that are read one after another."""
