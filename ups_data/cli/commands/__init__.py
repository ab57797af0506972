"""A file for each command: its arguments, what it runs, what it shows."""
