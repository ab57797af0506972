"""A card as a page of HTML that needs nothing else."""

from collections.abc import Sequence

from ups_data.card.markdown import shortened
from ups_data.card.parts import Card, Cell, Foreign, Section
from ups_data.errors import printable
from ups_data.pages import document, figure, section, table, text


def page(card: Card) -> str:
    """The page; pictures lie in it."""
    header = f"<header><h1>{words(card.title)}</h1><p>{words(card.lead)}</p></header>"
    return document(_plain(card.title), [header, *map(section_html, card.sections)], "Written by ups-data.")


def section_html(part: Section) -> str:
    """A section; empty if there is nothing in it."""
    parts = [f"<p>{words(line)}</p>" for line in part.text]
    for rows in part.tables:
        if rows.rows:
            shown = [[_short(cell) for cell in row] for row in rows.rows]
            parts.append(table(rows.head, shown, numbers=rows.numbers))
    if part.code:
        parts.append(f"<pre><code>{'<br>'.join(map(text, part.code.splitlines()))}</code></pre>")
    parts += [figure(_plain(picture.caption), picture.png) for picture in part.pictures if picture.png is not None]
    return section(part.title, parts)


def words(cells: Sequence[Cell]) -> str:
    """Own text as it is, foreign text as code; nothing in either is markup."""
    return "".join(f"<code>{text(_short(cell))}</code>" if isinstance(cell, Foreign) else text(cell) for cell in cells)


def _plain(cells: Sequence[Cell]) -> str:
    return "".join(map(_short, cells))


def _short(cell: Cell) -> str:
    return shortened(printable(cell))
