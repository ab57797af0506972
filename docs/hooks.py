"""Writes the options of a loader, which `LoaderOptions` holds, into the pages that ask for them."""

import dataclasses
import re
from typing import Any

from ups_data.loader.options import LoaderOptions

PLACE = "<!-- the options of a loader -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What MkDocs calls for every page: its text, with the options where the page has the mark."""
    return markdown.replace(PLACE, options()) if PLACE in markdown else markdown


def options() -> str:
    """A table for each group of options."""
    specs = dataclasses.fields(LoaderOptions)
    parts = []
    for group in dict.fromkeys(spec.metadata["group"] for spec in specs):
        parts += [f"### {group}", "", "| option | default | meaning |", "| --- | --- | --- |"]
        parts += [row(spec) for spec in specs if spec.metadata["group"] == group]
        parts.append("")
    return "\n".join(parts)


def row(spec: "dataclasses.Field[Any]") -> str:
    """An option's line in its table."""
    default = "*must be given*" if spec.default is dataclasses.MISSING else f"`{spec.default!r}`"
    meaning = re.sub(r"'(\w+)'", r"`'\1'`", spec.metadata["doc"]).replace("|", r"\|")
    only = " (`QueryLoader` only)" if spec.metadata["loader_only"] else ""
    return f"| `{spec.name}` | {default} | {meaning}{only} |"
