"""What a card consists of, whether it becomes Markdown or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field


class Foreign(str):
    """Text that was not written here: names, units, paths. It is shown as it is, and is never markup."""


Cell = str | Foreign


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head.

    Attributes:
        numbers: whether the columns behind the first are numbers.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture, or why there is none.

    Attributes:
        file: its name in the card's folder.
        png: None: it could not be drawn.
    """

    file: str
    caption: Sequence[Cell]
    png: bytes | None = None


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    title: str
    text: Sequence[Sequence[Cell]] = ()
    tables: Sequence[Table] = ()
    code: str = ""
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Card:
    """A dataset's card.

    Attributes:
        title: words, of which some may be foreign.
        lead: what it is, in a sentence or two.
    """

    title: Sequence[Cell]
    lead: Sequence[Cell]
    sections: list[Section] = field(default_factory=list)
