"""How an option is written down, and what is made of it: arguments, documentation, one record."""

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field
from typing import Any, Literal, TypeVar

# In the order in which the documentation lists them; any other group comes last.
GROUPS = ("Which samples", "Which points", "How they are read", "Where the data lie", "Who does the work")

C = TypeVar("C", bound=type)
R = TypeVar("R")


def option(
    group: str,
    doc: str,
    default: Any = MISSING,
    *,
    least: float | None = None,
    choices: Any = None,
    identity: Literal["always", "changed", "apart", "never"] = "changed",
    loader_only: bool = False,
) -> Any:
    """A field of `LoaderOptions`.

    Args:
        group: under which the documentation lists it.
        doc: what it means.
        default: none: it must be given.
        least: of a number, where it is given.
        choices: a `Literal` of the values that are allowed.
        identity: of a loader's state. "changed": a part of it where the value is not the default, so that an option
            that is new changes no old state; "always": a part of it; "apart": the identity has words of its own for it;
            "never": no batch depends on it.
        loader_only: `QueryDataset` does not have it.
    """
    metadata = dict(group=group, doc=doc, least=least, choices=choices, identity=identity, loader_only=loader_only)
    return field(default=default, metadata=metadata)


def collected(record: type[R], options: R | None, given: Mapping[str, Any], *, caller: str) -> R:
    """The record that a call's arguments make.

    Args:
        record: a dataclass of options.
        options: a record to begin with.
        given: keyword arguments, which win.
        caller: whose they are, for errors.

    Raises:
        TypeError: an unknown keyword argument, or a missing one, as Python says it.
        UpsDataError: a value is not allowed.
    """
    specs = _in_order(record)
    if unknown := [name for name in given if name not in {spec.name for spec in specs}]:
        raise TypeError(f"{caller}() got an unexpected keyword argument {unknown[0]!r}")
    if options is not None:
        return dataclasses.replace(options, **given)  # type: ignore[type-var]
    if missing := [spec.name for spec in specs if spec.default is MISSING and spec.name not in given]:
        raise TypeError(f"{caller}() is missing the keyword arguments {', '.join(missing)}")
    return record(**given)


def takes_options(record: type, *, loader_only: bool) -> Callable[[C], C]:
    """Write the options into a class's documentation and into the signature of its constructor.

    Args:
        record: the dataclass of the options.
        loader_only: whether those are among them that only a loader has.
    """

    def documented(cls: C) -> C:
        specs = [s for s in _in_order(record) if loader_only or not s.metadata["loader_only"]]
        lines = ["", "Keyword arguments, by what they are about:"]
        for group in dict.fromkeys(spec.metadata["group"] for spec in specs):
            lines += ["", f"{group}:"]
            for spec in specs:
                if spec.metadata["group"] == group:
                    lines += _entry(spec)
        cls.__doc__ = inspect.cleandoc(cls.__doc__ or "") + "\n" + "\n".join(lines) + "\n"
        constructor: Any = cls.__init__  # type: ignore[misc]
        first = [p for p in inspect.signature(constructor).parameters.values() if p.kind is not p.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                spec.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if spec.default is MISSING else spec.default,
                annotation=spec.type,
            )
            for spec in specs
        ]
        constructor.__signature__ = inspect.Signature([*first, *keywords])
        return cls

    return documented


def _in_order(record: type) -> "list[dataclasses.Field[Any]]":
    """The options, group by group: a record of options may inherit some, which dataclasses list first."""
    last = len(GROUPS)
    return sorted(
        dataclasses.fields(record),
        key=lambda spec: GROUPS.index(group) if (group := spec.metadata.get("group")) in GROUPS else last,
    )


def _entry(spec: "dataclasses.Field[Any]") -> list[str]:
    default = "" if spec.default is MISSING else f" (default {spec.default!r})"
    text = f"{spec.name}{default}: {spec.metadata['doc']}"
    return textwrap.wrap(text, 112, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)
