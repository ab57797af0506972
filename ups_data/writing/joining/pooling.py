"""Statistics of a split as moments, so that more can be taken in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import FieldStatistics, Manifest, PointStatistics, ShardSpec, SplitSpec, Summary
from ups_data.writing.statistics import FieldMoments, Moments


class HasMoments(Protocol):
    """A shard or a split: fields by name; parameters, one channel each; the time between steps; coordinates by set."""

    @property
    def fields(self) -> Mapping[str, FieldMoments]:
        """Name → moments."""

    @property
    def params(self) -> Moments:
        """One channel each."""

    @property
    def time_step(self) -> Moments:
        """Of the time between steps."""

    @property
    def coords(self) -> Mapping[str, Moments] | None:
        """Set of points (`""`: the only one) → moments; None: a dataset of a version that did not say."""


@dataclass
class SplitMoments:
    """What was taken in of a split so far; see `HasMoments`."""

    fields: dict[str, FieldMoments]
    params: Moments
    time_step: Moments
    coords: dict[str, Moments] | None

    def take(self, other: HasMoments) -> None:
        """Take in what another has taken in; the pairwise update of Chan, Golub & LeVeque (1979), as in `Moments`."""
        for name, moments in other.fields.items():
            self.fields[name].merge(moments)
        self.params.merge(other.params)
        self.time_step.merge(other.time_step)
        if self.coords is None or other.coords is None:
            self.coords = None
            return
        for name, of_set in other.coords.items():
            self.coords[name].merge(of_set)

    def spec(self, shards: list[ShardSpec], params: Sequence[str]) -> SplitSpec:
        """The split with these shards, as the manifest has it."""
        return SplitSpec(
            shards=shards,
            statistics={name: moments.statistics() for name, moments in self.fields.items()},
            params=dict(zip(params, self.params.summaries(), strict=True)),
            time_step=self.time_step.summaries()[0] if self.time_step.count[0] else None,
            coords={name: _where(moments) for name, moments in (self.coords or {}).items()} or None,
        )


def moments_of(manifest: Manifest, split: str) -> SplitMoments:
    """The moments that a split's statistics were made of, but for their last bits.

    Raises:
        UpsDataError: a field holds values that are not finite, and the dataset is of a version that did not say how
            many of its differences were.
    """
    spec = manifest.split(split)
    steps = np.array([n for shard in spec.shards for n in shard.steps], np.int64)
    sets = {name or "": name for name in manifest.set_names}
    points = {key: manifest.points_of(split, name) for key, name in sets.items()}
    fields = {}
    for field in manifest.fields:
        differences = int(((steps - 1) * points[field.point_set or ""]).sum())
        fields[field.name] = _field(field.name, spec.statistics[field.name], differences)
    coords = None
    if manifest.grid is not None:
        coords = {}
    elif spec.coords is not None:
        frames = {key: steps if manifest.point_set(name).moving else np.ones_like(steps) for key, name in sets.items()}
        coords = {key: _moments(where, int((frames[key] * points[key]).sum())) for key, where in spec.coords.items()}
    params = _stacked([spec.params[name] for name in manifest.params], len(steps))
    time_step = _stacked([] if spec.time_step is None else [spec.time_step], int((steps - 1).sum()))
    return SplitMoments(fields, params, time_step if spec.time_step is not None else Moments(1), coords)


def _field(name: str, statistics: FieldStatistics, differences: int) -> FieldMoments:
    channels = len(statistics.mean)
    found = FieldMoments(channels)
    found.values = _moments(statistics, statistics.counts or [statistics.count] * channels)
    found.values.nonfinite = statistics.nonfinite
    if statistics.delta_mean is None or statistics.delta_std is None:
        return found
    if statistics.delta_counts is None and statistics.nonfinite:
        raise UpsDataError(
            f"the statistics of the field {name!r}, which holds NaN or Inf, are of an older version and cannot be "
            "joined with others: convert it again"
        )
    counts = np.array(statistics.delta_counts or [differences] * channels, np.int64)
    found.deltas.count, found.deltas.mean = counts, np.array(statistics.delta_mean, np.float64)
    found.deltas.squares = np.array(statistics.delta_std, np.float64) ** 2 * counts
    return found


def _moments(given: FieldStatistics | PointStatistics, counts: int | Sequence[int]) -> Moments:
    found = Moments(len(given.mean))
    found.count = np.broadcast_to(np.array(counts, np.int64), found.count.shape).copy()
    found.mean, found.squares = np.array(given.mean, np.float64), np.array(given.std, np.float64) ** 2 * found.count
    found.min, found.max = np.array(given.min, np.float64), np.array(given.max, np.float64)
    return found


def _stacked(summaries: Sequence[Summary], count: int) -> Moments:
    """One channel for each."""
    found = Moments(len(summaries))
    found.count[:] = count
    found.mean, found.squares = np.array([s.mean for s in summaries]), np.array([s.std**2 * count for s in summaries])
    found.min, found.max = np.array([s.min for s in summaries]), np.array([s.max for s in summaries])
    return found


def _where(coords: Moments) -> PointStatistics:
    """Of moments of coordinates."""
    return PointStatistics(
        min=coords.min.tolist(), max=coords.max.tolist(), mean=coords.mean.tolist(), std=coords.std.tolist()
    )
