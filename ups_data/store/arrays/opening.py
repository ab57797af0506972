"""Opening a stored array of a shard: directly where this project wrote it, through zarr otherwise."""

from pathlib import Path

from ups_data.schema import limits
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.metadata import ARRAY, direct_layout, parsed
from ups_data.store.arrays.stored import StoredArray, Verify
from ups_data.store.arrays.through_zarr import ZarrArray
from ups_data.store.seal import ArraySeal, read_bounded


def open_array(path: Path, *, where: str, seal: ArraySeal | None = None, verify: Verify = "first") -> StoredArray:
    """Open the zarr array in the folder `path`; `where` names it in errors.

    Args:
        seal: what its files are compared with; None: an array that belongs to no shard.

    Raises:
        UpsDataError: its metadata are missing, damaged, or claim what nobody writes.
    """
    text = seal.read(ARRAY, where=where) if seal else read_bounded(path / ARRAY, limits.METADATA_BYTES, where)
    layout = direct_layout(parsed(text, path / ARRAY, where))
    if layout is None:
        return ZarrArray(path, where=where, seal=seal)
    return DirectArray(path, layout, where=where, seal=seal, verify=verify)
