"""Opening a stored array of a shard: directly where this project wrote it, through zarr otherwise."""

from ups_data.schema import limits
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.metadata import ARRAY, direct_layout, parsed
from ups_data.store.arrays.stored import StoredArray, Verify
from ups_data.store.arrays.through_zarr import ZarrArray
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
        return ZarrArray(store, key, where=where, seal=seal)
    return DirectArray(store, key, layout, where=where, seal=seal, verify=verify)
