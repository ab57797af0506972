"""The parts of a page. Text may come from anywhere: nothing in it is markup."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from ups_data.errors import printable
from ups_data.pages.style import STYLE

# The page may show itself and nothing from elsewhere, whatever names in it come from.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, sections: Iterable[str], footer: str) -> str:
    """A page.

    Args:
        title: any text.
        sections: HTML; those that are empty are left out.
        footer: any text.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in sections if part)
        + f"\n<footer>{text(footer)}</footer>\n</main>\n</body>\n</html>\n"
    )


def section(title: str, parts: Sequence[str]) -> str:
    """A section with a heading; empty if its parts are."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def figure(caption: str, png: bytes) -> str:
    """A picture within the page."""
    return (
        f"<figure><figcaption>{text(caption)}</figcaption>"
        f'<img alt="{text(caption)}" src="data:image/png;base64,{b64encode(png).decode()}"></figure>'
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = True, best: int | None = None
) -> str:
    """A table; `numbers`: columns behind the first are aligned to the right."""

    def row(cells: Sequence[object], tag: str) -> str:
        kinds = ["", *[' class="n"' if numbers else ""] * (len(cells) - 1)]
        return "".join(f"<{tag}{kind}>{text(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr{' class=best' * (n == best)}>{row(cells, 'td')}</tr>" for n, cells in enumerate(rows))
    header = f"<thead><tr>{row(head, 'th')}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{header}<tbody>{body}</tbody></table></div>'


def text(value: object) -> str:
    """For HTML: on one line, and nothing in it is markup."""
    return escape(printable(value), quote=True)
