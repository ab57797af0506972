"""Which formats there are: those of this package, those that a program registers, those of installed packages.

A package offers a format by an entry point, `name = "package.module:Class"`, in the group `ups_data.sources`. Entry
points are looked up, and their modules imported, only after nothing else has recognised a file, or by name.
"""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import TypeVar

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content

GROUP = "ups_data.sources"
S = TypeVar("S", bound=type[Source])

BUILT_IN: dict[str, type[Source]] = {}
_REGISTERED: dict[str, type[Source]] = {}


def register_source(source: S) -> S:
    """Make a format known to this process, by name and by content; also a decorator of the class.

    Built-in formats are asked first whether a file is theirs, then those that were registered, in that order. A
    conversion with several workers imports the class's module in each of them, so the class has to lie in a module.

    Raises:
        UpsDataError: it is no subclass of `Source`, has no name, or another class has that name.

    Example:
        @register_source
        class Csv(Source):
            format = "csv"
            ...
    """
    _check(source, f"{source!r}")
    known = BUILT_IN.get(source.format) or _REGISTERED.get(source.format)
    if known is not None and (known.__module__, known.__qualname__) != (source.__module__, source.__qualname__):
        raise UpsDataError(f"the format {source.format!r} is {known.__module__}.{known.__qualname__}: name yours apart")
    _REGISTERED[source.format] = source
    return source


def registered() -> tuple[type[Source], ...]:
    """The classes given to `register_source`."""
    return tuple(_REGISTERED.values())


def source_named(name: str) -> type[Source]:
    """The class of a format.

    Raises:
        UpsDataError: nobody has that name, or the package that has it cannot be imported.
    """
    known = BUILT_IN.get(name) or _REGISTERED.get(name) or next(_installed(name), None)
    if known is None:
        names = [*BUILT_IN, *_REGISTERED, *entry_points(group=GROUP).names]
        raise UpsDataError(f"unknown format {name!r}: choose one of {', '.join(dict.fromkeys(names))}")
    return known


def source_of(content: Content) -> type[Source] | None:
    """The class that recognises a content, None if none does.

    Raises:
        UpsDataError: no other recognised it, and an installed package's cannot be imported.
    """
    return next((source for source in _in_order() if source.recognises(content)), None)


def _in_order() -> Iterator[type[Source]]:
    yield from BUILT_IN.values()
    yield from _REGISTERED.values()
    yield from _installed()


def _installed(name: str | None = None) -> Iterator[type[Source]]:
    for point in entry_points(group=GROUP) if name is None else entry_points(group=GROUP, name=name):
        where = f"the format {point.name!r} of the package {point.dist.name if point.dist else '?'} ({point.value})"
        try:
            source = point.load()
        except Exception as error:  # whatever a foreign module does when it is imported
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UpsDataError(f"{where} cannot be imported ({reason}): repair or remove that package") from error
        _check(source, where)
        if source.format != point.name:
            raise UpsDataError(f"{where} calls itself {source.format!r}: give the entry point that name")
        yield source


def _check(source: object, where: str) -> None:
    if not (isinstance(source, type) and issubclass(source, Source)):
        raise UpsDataError(f"{where} is no class that derives from ups_data.sources.Source")
    if not isinstance(getattr(source, "format", None), str):
        raise UpsDataError(f"{where} has no `format`: give it a name")
