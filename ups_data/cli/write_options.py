"""The options of what is written as options of a command: names, types, defaults and help are the record's."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from ups_data.writing.options import WriteOptions

F = TypeVar("F", bound=Callable[..., Any])
MIB = 1024**2


def takes_write_options(command: F) -> F:
    """Give a command that takes `**written` an option for each field of `WriteOptions`; see `write_options`."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = []
    for spec in dataclasses.fields(WriteOptions):
        name, help_text = spec.name, spec.metadata["doc"]
        kind: Any = spec.type
        default: Any = spec.default
        if name == "importance":
            kind, default, help_text = str | None, None, f"{help_text} Names with commas between them."
        if name == "shard_bytes":
            name, kind, default, help_text = "shard_mb", int, default // MIB, f"{help_text} In MiB."
        annotation = Annotated[kind, typer.Option(help=help_text)]
        options.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return command


def write_options(written: dict[str, Any]) -> WriteOptions:
    """The record of what a command was given.

    Raises:
        UpsDataError: a value is not allowed.
    """
    given = dict(written)
    importance = given.pop("importance")
    shard_mb = given.pop("shard_mb")
    metrics = [m.strip() for m in importance.split(",")] if importance else ()
    return WriteOptions(**given, importance=metrics, shard_bytes=shard_mb * MIB)
