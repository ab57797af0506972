"""A card as Markdown. Foreign text stands in spans of code, in which nothing is markup."""

from collections.abc import Sequence

from ups_data.card.parts import Card, Cell, Foreign, Picture, Section, Table
from ups_data.errors import printable

MOST_CHARACTERS = 300  # of a foreign text


def markdown(card: Card, folder: str) -> str:
    """The text of `README.md`.

    Args:
        folder: where the pictures lie, relative to it.
    """
    parts = [f"# {words(card.title)}", words(card.lead)]
    for section in card.sections:
        parts += [f"## {section.title}", *_section(section, folder)]
    return "\n\n".join(parts) + "\n"


def words(cells: Sequence[Cell], *, in_table: bool = False) -> str:
    """Own text as it is, foreign text in spans of code."""
    return "".join(code_span(cell, in_table=in_table) if isinstance(cell, Foreign) else cell for cell in cells)


def code_span(text: str, *, in_table: bool = False) -> str:
    """A span of code on one line, whatever the text; a backtick becomes an apostrophe."""
    plain = shortened(printable(text)).replace("`", "'")
    if in_table:  # tables are parsed first, and take the backslash away
        plain = plain.replace("\\", "\\\\").replace("|", "\\|") if "|" in plain else plain
    return f"`{plain}`" if plain.strip() else ""


def shortened(text: str) -> str:
    """At most MOST_CHARACTERS of it."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _section(section: Section, folder: str) -> list[str]:
    parts = [words(line) for line in section.text]
    parts += [_table(table) for table in section.tables if table.rows]
    if section.code:
        parts.append(f"```python\n{section.code}\n```")
    return parts + [part for picture in section.pictures for part in _picture(picture, folder)]


def _table(table: Table) -> str:
    rule = ["---", *["---:" if table.numbers else "---"] * (len(table.head) - 1)]
    rows = [[words([cell], in_table=True) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(table.head), rule, *rows])


def _picture(picture: Picture, folder: str) -> list[str]:
    if picture.png is None:
        return []
    return [words(picture.caption), f"![{picture.file}]({folder}/{picture.file})"]
