"""The one exception type for input that cannot be used."""


class UpsDataError(ValueError):
    """Bad input: one line that says what is wrong, where, and what to do instead.

    The command-line tools print it and exit with status 2.
    """
