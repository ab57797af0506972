"""A source with only some of its fields, or under other names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.trajectory import PointSet, Trajectory

T = TypeVar("T")


class ChosenSource(Source):
    """What `SourceOptions.variables` and `rename` say, of any source.

    Raises:
        UpsDataError: when a trajectory is opened, a name is not there, or two fields get the same one.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source.path, source.options)
        self.format, self._source = source.format, source
        self._names = dict(self.options.rename)

    def __len__(self) -> int:
        return len(self._source)

    def splits(self) -> list[str | None]:
        """As the source itself."""
        return self._source.splits()

    def __getitem__(self, number: int, /) -> Trajectory:
        t = self._source[number]
        fields = [*t.fields, *t.static, *(n for s in t.sets.values() for n in (*s.fields, *s.static))]
        self._check(fields, t)
        dropped = dict.fromkeys([n for n in fields if not self._wanted(n)], "not among --variables")
        return replace(
            t,
            fields=self._of(t.fields),
            static=self._of(t.static),
            params={self._names.get(name, name): value for name, value in t.params.items()},
            sets={name: self._set(points) for name, points in t.sets.items()},
            units=self._of(t.units),
            missing=[self._names.get(name, name) for name in t.missing if self._wanted(name)],
            left_out={**t.left_out, **dropped},
        )

    def _check(self, fields: list[str], t: Trajectory) -> None:
        for name in (*self.options.variables, *self._names):
            if name not in fields and name not in t.params:
                raise UpsDataError(
                    f"{t.source}: no field {name!r} to choose or rename: choose among {', '.join(fields)}"
                )
        names = [self._names.get(name, name) for name in (*fields, *t.params) if name in t.params or self._wanted(name)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UpsDataError(f"{t.source}: two fields would be called {twice!r}: rename them apart")

    def _wanted(self, name: str) -> bool:
        return not self.options.variables or name in self.options.variables

    def _of(self, given: Mapping[str, T]) -> dict[str, T]:
        return {self._names.get(name, name): value for name, value in given.items() if self._wanted(name)}

    def _set(self, points: PointSet) -> PointSet:
        return replace(
            points, fields=self._of(points.fields), static=self._of(points.static), units=self._of(points.units)
        )
