"""The sampling modes, a file for each."""
