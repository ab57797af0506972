"""The frames that a card shows: the middle one of the first trajectory of every split, with points drawn of it."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys
from ups_data.schema import FieldSpec, Manifest
from ups_data.store.masks.counted import with_holes
from ups_data.store.object_store import ObjectStore
from ups_data.store.shard import Shard

MOST_BYTES = 256 * 1024**2  # of a frame that is read for a picture
MOST_DRAWN, SHARE = 2000, 0.05  # points drawn of a frame
MOST_ORDERED = 2_000_000  # points that are put in order along a curve
MOST_SPLITS = 8
MOST_LINES = 512  # frames of a picture over time


@dataclass(frozen=True)
class Shown:
    """A frame of a field.

    Attributes:
        values: `(N, C)`.
        coords: `(N, d)` in the source's units; None: a grid.
        before: likewise, of the first frame, if the points move.
        drawn: `(Q,)`, numbers of points.
        time, step, steps: when, and which of how many frames.
        over_time: `(frames, N)` of the first channel, of a grid with one axis, and the times.
    """

    split: str
    values: np.ndarray
    coords: np.ndarray | None
    before: np.ndarray | None
    drawn: np.ndarray
    time: float
    step: int
    steps: int
    over_time: tuple[np.ndarray, np.ndarray] | None = None


def frames_of(store: ObjectStore, manifest: Manifest, field: FieldSpec) -> list[Shown]:
    """A frame for every split, of many for the first ones.

    Raises:
        UpsDataError: a shard is damaged.
        ValueError: a frame is too large to be drawn.
    """
    if manifest.frame_bytes(field) > MOST_BYTES:
        raise ValueError(f"its frames are {manifest.frame_bytes(field) / 1e6:,.0f} MB")
    firsts = [(name, split.shards[0]) for name, split in manifest.splits.items() if split.shards][:MOST_SPLITS]
    return [_frame(Shard(store, manifest, spec), manifest, field, name) for name, spec in firsts]


def _frame(shard: Shard, manifest: Manifest, field: FieldSpec, split: str) -> Shown:
    steps = shard.steps[0]
    step = 0 if field.static else steps // 2
    values = with_holes(shard, field, 0, step)
    coords = before = over_time = None
    if manifest.grid is None:
        spec = manifest.point_set(field.point_set)
        origin = np.asarray(spec.origin or [0.0] * spec.dim)
        at = partial(shard.positions, field.point_set, 0)
        coords = at(step) + origin
        before = at(0) + origin if spec.moving and step else None
    elif len(manifest.grid.shape) == 1 and not field.static and steps > 1:
        numbers = np.unique(np.linspace(0, steps - 1, min(steps, MOST_LINES)).astype(int))
        over_time = np.stack([with_holes(shard, field, 0, n)[:, 0] for n in numbers]), shard.time[numbers]
    drawn = _drawn(manifest, coords, np.isfinite(values).all(-1))
    time = float(shard.time[step])
    return Shown(split, values, coords, before, drawn, time, step, 1 if field.static else steps, over_time)


def _drawn(manifest: Manifest, coords: np.ndarray | None, counts: np.ndarray) -> np.ndarray:
    """Numbers of points drawn among those that have a value, `counts`: `(N,)`; without one, among all."""
    keys, points = sample_keys(0, 0, [0], [0], Stream.TARGET_QUERIES), len(counts)
    held = np.flatnonzero(counts)
    count = max(1, min(MOST_DRAWN, round(SHARE * (len(held) or points))))
    if 0 < len(held) < points:
        return held[draw_queries(QuerySampling(num_queries=count), Domain(len(held)), keys, 0).points[0]]
    grid = manifest.grid.shape if manifest.grid is not None else None
    mode = "stratified" if points <= MOST_ORDERED else "uniform"
    domain = Domain(points, grid, coords=None if coords is None else coords.astype(np.float32))
    return draw_queries(QuerySampling(num_queries=count, mode=mode), domain, keys, 0).points[0]
