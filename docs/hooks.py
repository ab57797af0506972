"""Writes the options of loaders and of writers, which a record of each holds, into the pages that ask for them."""

import dataclasses
import re
from typing import Any

from ups_data.loader.options import LoaderOptions
from ups_data.writing.options import WriteOptions

LOADER, WRITING = "<!-- the options of a loader -->", "<!-- the options of what is written -->"
HEAD = ["", "| option | default | meaning |", "| --- | --- | --- |"]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What MkDocs calls for every page: its text, with the options where the page has a mark."""
    for place, table in ((LOADER, options_of_loaders), (WRITING, options_of_writers)):
        if place in markdown:
            markdown = markdown.replace(place, table())
    return markdown


def options_of_loaders() -> str:
    """A table for each group of options."""
    specs = dataclasses.fields(LoaderOptions)
    parts = []
    for group in dict.fromkeys(spec.metadata["group"] for spec in specs):
        parts += [f"### {group}", *HEAD]
        parts += [row(spec) for spec in specs if spec.metadata["group"] == group]
        parts.append("")
    return "\n".join(parts)


def options_of_writers() -> str:
    """One table."""
    return "\n".join([*HEAD, *map(row, dataclasses.fields(WriteOptions))])


def row(spec: "dataclasses.Field[Any]") -> str:
    """An option's line in its table."""
    default = "*must be given*" if spec.default is dataclasses.MISSING else f"`{spec.default!r}`"
    meaning = re.sub(r"""(["'])(\w+)\1""", r"`\1\2\1`", spec.metadata["doc"]).replace("|", r"\|")
    only = " (`QueryLoader` only)" if spec.metadata.get("loader_only") else ""
    return f"| `{spec.name}` | {default} | {meaning}{only} |"
