"""Which of the values of a file are values."""
