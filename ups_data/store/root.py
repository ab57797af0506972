"""What is given as the root of a dataset: a folder, or a store."""

from pathlib import Path

from ups_data.store.local import LocalStore
from ups_data.store.object_store import ObjectStore

Root = str | Path | ObjectStore


def open_store(root: Root) -> ObjectStore:
    """The store that a dataset lies in: a store itself, or the folder of that name.

        open_store("data/run").get("dataset.json", limit=2**20)

    Opening reads nothing, so it does not fail: reading does.
    """
    return root if isinstance(root, ObjectStore) else LocalStore(root)
