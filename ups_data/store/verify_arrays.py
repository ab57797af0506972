"""Whether the arrays of a shard are what a loader expects: opened as it would open them, every chunk of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, ShardSpec
from ups_data.store.arrays.channels import absent_is_nan
from ups_data.store.arrays.metadata import ARRAY, mask_name, mask_table
from ups_data.store.arrays.stored import StoredArray, place_of
from ups_data.store.shard import Shard

# Damaged chunks that are named for each array; a whole file of them says no more than the first ones.
NAMED = 5


@dataclass(frozen=True)
class _Expected:
    """An array that a loader reads.

    Attributes:
        blocks: `(rows,)`, of each row the blocks that hold points, which must be there.
        may_be_nan: whether it may hold NaN, as which an absent chunk is read.
    """

    called: str
    open: Callable[[], StoredArray]
    blocks: NDArray[np.int64]
    may_be_nan: bool = False


def damaged_arrays(shard: Shard, manifest: Manifest, spec: ShardSpec) -> Iterator[str]:
    """What is wrong with the arrays and tables of a shard, a line for each thing."""
    for expected in _expected(shard, manifest, spec):
        yield from _damaged_chunks(expected)
    yield from _complaints("trajectories/time", lambda: shard.time)
    yield from _complaints("trajectories/params", lambda: shard.params)
    for name in [name or None for name in spec.masks or {}]:
        yield from _complaints(mask_table(name), partial(shard.mask_rows, name))
    for name in manifest.set_names:
        for trajectory in range(len(spec.steps)):
            yield from _complaints(f"the points of {name}", partial(shard.geometry, name, trajectory))


def _expected(shard: Shard, manifest: Manifest, spec: ShardSpec) -> Iterator[_Expected]:
    statistics = next((s.statistics for s in manifest.splits.values() if spec in s.shards), {})
    blocks = {
        name: np.array([manifest.num_blocks(points, name) for points in manifest.shard_points(spec, name)])
        for name in manifest.set_names
    }
    for field in manifest.fields:
        rows = blocks[field.point_set] if field.static else np.repeat(blocks[field.point_set], spec.steps)
        may_be_nan = field.name not in statistics or statistics[field.name].nonfinite > 0
        yield _Expected(f"field {field.name!r}", partial(shard.field, field.name), rows, may_be_nan)
    for name, of_set in blocks.items():
        folder = "points" if name is None else f"points/{name}"
        if manifest.grid is None:
            rows = np.repeat(of_set, spec.steps) if manifest.coords_by_frame(name) else of_set
            yield _Expected(f"{folder}/coords", partial(shard.coords, name), rows)
        if f"{folder}/index/{ARRAY}" in shard.seal.files:
            yield _Expected(
                f"{folder}/index", partial(shard.index, name), of_set if manifest.grid is None else of_set[:1]
            )
    for name in [name or None for name in spec.masks or {}]:
        masks = (spec.masks or {})[name or ""]
        widest = np.full(masks.rows, blocks[name].max() if manifest.grid is None else 1)
        yield _Expected(mask_name(name), partial(shard.mask, name), widest, may_be_nan=True)
    for metric, sets in (manifest.importance or {}).items():
        for of in sets:
            name = f"importance/{metric}{of and '/'}{of}"
            yield _Expected(name, partial(shard.importance, metric, of or None), np.ones(spec.rows, np.int64))


def _damaged_chunks(expected: _Expected) -> Iterator[str]:
    opened: list[StoredArray] = []
    yield from _complaints(expected.called, lambda: opened.append(expected.open()))
    for array in opened:
        numbers = range(-(-array.shape[0] // array.chunk_rows) * array.blocks)
        found = [
            c for number in numbers for c in _complaints(expected.called, partial(_look_at, array, number, expected))
        ]
        yield from found[:NAMED]
        if len(found) > NAMED:
            yield f"{expected.called}: {len(found) - NAMED} more of its {len(numbers)} chunks"


def _look_at(array: StoredArray, number: int, expected: _Expected) -> None:
    """Read a chunk.

    Raises:
        UpsDataError: it is damaged, or absent where points are, and NaN is none of their values.
    """
    array.chunk(number)
    if expected.may_be_nan or not absent_is_nan(array, number):
        return
    row_chunk, block = divmod(number, array.blocks)
    if block < expected.blocks[row_chunk * array.chunk_rows :][: array.chunk_rows].max():
        raise UpsDataError(f"{expected.called}, {place_of(array, number)}: is not stored; copy or make the shard again")


def _complaints(called: str, read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except UpsDataError as error:
        yield str(error)
    except Exception as error:  # damaged metadata can make any library say anything
        yield f"{called}: {type(error).__name__}: {' '.join(str(error).split())}"
