"""Folders with a file for each quantity."""
