"""Opening a stored array of a shard: directly where this project wrote it, through zarr otherwise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, block_counts
from ups_data.schema import limits
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.metadata import ARRAY, direct_layout, parsed
from ups_data.store.arrays.stored import StoredArray, Verify
from ups_data.store.object_store import joined_key
from ups_data.store.root import Root, open_store
from ups_data.store.seal import ArraySeal, get


def open_array(
    root: Root, key: str = "", *, where: str, seal: ArraySeal | None = None, verify: Verify = "first"
) -> StoredArray:
    """Open a zarr array; `where` names it in errors.

    Args:
        root: a folder or a store.
        key: of the array there; empty: the root is the array.
        seal: what its files are compared with; None: an array that belongs to no shard.

    Raises:
        UpsDataError: its metadata are missing, damaged, or claim what nobody writes.
    """
    store, file = open_store(root), joined_key(key, ARRAY)
    text = seal.read(ARRAY, where=where) if seal else get(store, file, limits.METADATA_BYTES, where)
    layout = direct_layout(parsed(text, store.name(file), where))
    if layout is None:
        from ups_data.store.arrays.through_zarr import ZarrArray  # late: zarr takes a third of the time to import us

        return ZarrArray(store, key, where=where, seal=seal)
    return DirectArray(store, key, layout, where=where, seal=seal, verify=verify)


def chunks_of(array: StoredArray, numbers: NDArray[np.int64]) -> Sequence[np.ndarray]:
    """Several chunks, as `StoredArray.chunk` gives them; where they are not mapped, they are read at once.

    Raises:
        UpsDataError: as `StoredArray.chunk`.
    """
    if isinstance(array, DirectArray) and not array.mapped:
        return list(array.chunks(numbers))
    return [array.chunk(number) for number in numbers.tolist()]


def stored_row(array: StoredArray, row: int, blocks: int) -> np.ndarray:
    """The first so many blocks of a row, `(blocks * P, …)`, as they are stored.

    Raises:
        UpsDataError: as `StoredArray.chunk`.
    """
    chunk, place = divmod(row, array.chunk_rows)
    stored = chunks_of(array, chunk * array.blocks + np.arange(blocks))
    return np.concatenate([of_block[place] for of_block in stored])


def blocks_of_index(index: NDArray[np.int32], points: int, slots: int, where: str) -> Blocks:
    """The order of points that was stored as their numbers, slot by slot.

    Args:
        slots: of a block.
        where: for errors.

    Raises:
        UpsDataError: it is not a permutation of the points.
    """
    counts = block_counts(points, len(index) // slots)
    empty = np.arange(slots) >= counts[:, None]
    seen = np.zeros(points + 1, bool)
    if index.min() >= -1 and index.max() < points:
        seen[index] = True  # -1 is the last
    if not (seen[:points].all() and (index[empty.reshape(-1)] == -1).all()):
        raise UpsDataError(f"{where} is no permutation of {points} points; copy or make the dataset again")
    return Blocks(index, counts)
