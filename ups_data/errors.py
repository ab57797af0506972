"""The exceptions for input that cannot be used, and how text out of files is shown."""

import codecs

codecs.lookup("unicode_escape")  # now: it is a file, which cannot be opened where descriptors have run out


class UpsDataError(ValueError):
    """Bad input: one line that says what is wrong, where, and what to do instead.

    The command-line tools print it and exit with status 2. Names out of files are in it as `printable` shows them.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(printable(a) if isinstance(a, str) else a for a in arguments))


class ToldError(UpsDataError):
    """Bad input that another process of the same run tells of: the tools exit with status 2 and print nothing."""


class StoreError(UpsDataError):
    """An object of a store cannot be read; the message names the object, and the range if one was asked for."""


class UnreachableError(StoreError):
    """A store did not answer, or not as it should, for as long as it was tried: nothing is known to be damaged."""


class MissingObjectError(StoreError):
    """The store has no object of that key."""


class WrongSizeError(StoreError):
    """The object is longer or shorter than whoever opened it says."""


def printable(text: object) -> str:
    r"""`text` on one line, with every character that a terminal would act on written out: "a\x1b[1m" → `a\x1b[1m`.

    Names out of files (fields, splits, paths) may hold control characters, line breaks, or marks that reverse the
    direction of writing. Printed as they are, they set titles, hide text, or fake lines.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def shown(text: object) -> str:
    """`text` for a rich console, table or progress bar: `printable`, and nothing in it is markup.

    Without it, "[/bold]" in a field's name raises a MarkupError and "[link=…]" makes a link.
    """
    from rich.markup import escape  # late: a conversion's workers print nothing

    return escape(printable(text))
