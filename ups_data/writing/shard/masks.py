"""Which points of a trajectory count: from NaN, from a variable, or as the source says; and how it is stored.

A point counts where all fields of its set have a value and no mask says otherwise. Frames with the same points share a
stored mask, so that one that is constant over a trajectory is stored once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks
from ups_data.schema import ShardMasks
from ups_data.store.arrays.metadata import mask_table
from ups_data.writing.layout import Layout
from ups_data.writing.run import Run
from ups_data.writing.shard.array_writer import ArrayWriter

READ_BYTES = 8 * 1024**2  # of a source, at once


@dataclass
class SetMasks:
    """Of one set of points, or of a grid, in one trajectory.

    Attributes:
        points: N.
        row: `(T,)`, which of the masks each frame has, -1: all its points count.
        packed: the different masks, eight points to a byte.
        strict: whether points that do not count are left out of statistics and filled.
    """

    points: int
    row: NDArray[np.int64]
    packed: list[bytes] = field(default_factory=list)
    strict: bool = True

    def mask(self, number: int) -> NDArray[np.bool_]:
        """`(N,)`, whether each point counts."""
        return np.unpackbits(np.frombuffer(self.packed[number], np.uint8), count=self.points).astype(bool)

    def frames(self, start: int, stop: int) -> NDArray[np.bool_] | None:
        """`(n, N)` of the frames [start, stop); None: all count."""
        rows = self.row[start:stop]
        if not (self.strict and (rows >= 0).any()):
            return None
        all_count = np.ones(self.points, bool)
        return np.stack([all_count if row < 0 else self.mask(row) for row in rows.tolist()])

    def any_frame(self) -> NDArray[np.bool_] | None:
        """`(1, N)`, whether a point counts in any frame: of a static field; None: all do."""
        if not self.strict or (self.row < 0).any():
            return None
        any_counts: NDArray[np.bool_] = np.logical_or.reduce([self.mask(n) for n in range(len(self.packed))])
        return any_counts[None]

    def counts(self) -> NDArray[np.int64]:
        """`(T,)`, points of each frame that count."""
        of_mask = [int(self.mask(n).sum()) for n in range(len(self.packed))]
        return np.array([*of_mask, self.points])[self.row]  # -1 is the last


def masks_of(run: Run, layout: Layout) -> dict[str | None, SetMasks]:
    """Set of points → its masks; sets whose points all count are left out. Fields are read once more for this if NaN
    means that there is no value.

    Raises:
        UpsDataError: no point of a frame counts.
    """
    found = {}
    for set_name in run.coords or [None]:
        names = [spec.name for spec in layout.specs if spec.point_set == set_name]
        every = layout.options.mask_nan or layout.options.allow_nonfinite
        by_nan = [n for n in names if every or (n in run.missing and _lacks(run, n))]
        if not by_nan and set_name not in run.masks:
            continue
        masks = _of_set(run, set_name, by_nan, layout)
        if (masks.row >= 0).any():
            found[set_name] = masks
    return found


def _lacks(run: Run, name: str) -> bool:
    """Whether a field that may have missing values has some in its first frame: sources declare a fill value for fields
    that are whole, too, and all of a field is read for its masks."""
    frame = np.asarray(run.static[name][:] if name in run.static else run.fields[name][0:1])
    return frame.dtype.kind == "f" and bool(np.isnan(frame).any())


def _of_set(run: Run, set_name: str | None, by_nan: list[str], layout: Layout) -> SetMasks:
    points = run.points_of(set_name)
    strict = not layout.options.keeps_nan or set_name in run.masks
    masks = SetMasks(points, np.full(run.steps, -1, np.int64), strict=strict)
    numbers: dict[bytes, int] = {}
    for start, counted in _counted(run, set_name, by_nan, points):
        for step, of_frame in enumerate(counted, start):
            if of_frame.all():
                continue
            if not of_frame.any():
                if not strict:
                    continue  # a frame that is NaN throughout, as of a simulation that blew up, is kept as it is
                where = run.where if set_name is None else f"set {set_name!r} of {run.where}"
                raise UpsDataError(
                    f"frame {step} of {where} has no point that counts: leave the frame or the trajectory out, or give "
                    "another mask"
                )
            packed = np.packbits(of_frame).tobytes()
            if packed not in numbers:
                numbers[packed] = len(masks.packed)
                masks.packed.append(packed)
            masks.row[step] = numbers[packed]
    return masks


def _counted(run: Run, set_name: str | None, by_nan: list[str], points: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """First frame and `(n, N)` of piece after piece of the trajectory."""
    always = np.ones(points, bool)
    for name in by_nan:
        if name in run.static:
            always &= _without_nan(run.static[name][:][None])[0]
    frame_axes = len(run.frame_shape(set_name))
    given = run.masks.get(set_name, [])
    for mask in given:
        if len(mask.shape) == frame_axes:
            always &= np.asarray(mask[:]).reshape(points).astype(bool)
    moving = [mask for mask in given if len(mask.shape) > frame_axes]
    varying = [run.fields[name] for name in by_nan if name in run.fields]
    width = max([1, *(int(np.prod(f.shape[1:])) * f.dtype.itemsize for f in varying)])
    step = max(1, READ_BYTES // width)
    for start in range(0, run.steps, step):
        stop = min(start + step, run.steps)
        counted = np.repeat(always[None], stop - start, axis=0)
        for mask in moving:
            counted &= np.asarray(mask[start:stop]).reshape(stop - start, points).astype(bool)
        for array in varying:
            counted &= _without_nan(array[start:stop])
        yield start, counted


def _without_nan(frames: np.ndarray) -> NDArray[np.bool_]:
    """`(n, *grid or N, C)` → `(n, N)`, whether all channels have a value."""
    frames = np.asarray(frames)
    if frames.dtype.kind != "f":
        return np.ones((len(frames), int(np.prod(frames.shape[1:-1]))), bool)
    found: NDArray[np.bool_] = ~np.isnan(frames).reshape(len(frames), -1, frames.shape[-1]).any(-1)
    return found


def filled(frames: np.ndarray, counted: NDArray[np.bool_], fill: float) -> np.ndarray:
    """A copy of frames `(n, *grid or N, C)` with `fill` at the points that do not count, `(n, N)`."""
    out = np.array(frames, None if frames.dtype.kind == "f" else np.float64)
    out.reshape(len(out), -1, out.shape[-1])[~counted] = fill
    return out


def _in_slots(counted: NDArray[np.bool_], blocks: Blocks | None) -> NDArray[np.uint8]:
    """A mask `(N,)` as it is stored: `(1, slots)`, 0 in empty slots."""
    if blocks is None:
        return counted[None].astype(np.uint8)
    stored = counted[blocks.index] & (blocks.index >= 0)
    return stored[None].astype(np.uint8)


class MaskWriter:
    """Writes the masks of a shard's trajectories, each different one of a trajectory once. A set of points of which all
    count gets no array.

    Args:
        open_array: set, slots of a row → the writer of its array, which is asked for once something is to be written.
    """

    def __init__(self, open_array: Callable[[str | None, int], ArrayWriter]) -> None:
        self._open_array = open_array
        self._arrays: dict[str | None, ArrayWriter] = {}
        self._rows: dict[str | None, list[NDArray[np.int64]]] = {}
        self._listed: dict[str | None, dict[str, Any]] = {}

    def add(
        self,
        masks: Mapping[str | None, SetMasks],
        deal: Mapping[str | None, Blocks | None],
        points: Mapping[str | None, int],
        steps: int,
    ) -> None:
        """The masks of one trajectory.

        Args:
            masks: see `masks_of`.
            deal: set → how its points are stored.
            points: set → N.
            steps: T.
        """
        for name, blocks in deal.items():
            of_set = masks.get(name) or SetMasks(points[name], np.full(steps, -1, np.int64))
            listed = self._listed.setdefault(name, {"rows": 0, "fewest": [], "most": [], "moving": False})
            self._rows.setdefault(name, []).append(np.where(of_set.row < 0, -1, of_set.row + listed["rows"]))
            counts = of_set.counts()
            listed["rows"] += len(of_set.packed)
            listed["fewest"].append(int(counts.min()))
            listed["most"].append(int(counts.max()))
            listed["moving"] |= bool((of_set.row != of_set.row[0]).any())
            for number in range(len(of_set.packed)):
                stored = _in_slots(of_set.mask(number), blocks)
                if name not in self._arrays:
                    self._arrays[name] = self._open_array(name, stored.shape[1])
                self._arrays[name].append(stored)

    def listed(self) -> dict[str, ShardMasks] | None:
        """As the shard's entry in the manifest has them."""
        return {name or "": ShardMasks(**self._listed[name]) for name in self._arrays} or None

    def tables(self) -> dict[str, NDArray[np.float64]]:
        """Name → which mask each of the shard's frames has; as numbers that every table of a shard holds."""
        return {mask_table(name): np.concatenate(self._rows[name]).astype(np.float64) for name in self._arrays}
