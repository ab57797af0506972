"""Texts from anywhere: looked at before they are made into objects."""
