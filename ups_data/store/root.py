"""What is given as the root of a dataset: a folder, a URL, or a store."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ups_data.store.kernel.choice import LocalIO, choose_io
from ups_data.store.local import LocalStore
from ups_data.store.object_store import ObjectStore
from ups_data.store.remote.urls import file_of, is_url

Root = str | Path | ObjectStore
ENVIRONMENT = "UPS_DATA_CACHE"


def open_store(
    root: Root, store_options: Mapping[str, Any] | None = None, *, timeout: float | None = None
) -> ObjectStore:
    """The store that a dataset lies in: a store itself, the folder of that name, or what a URL names.

        open_store("data/run").get("dataset.json", limit=2**20)
        open_store("s3://bucket/run", {"region": "eu-west-1"})

    Opening reads nothing.

    Args:
        store_options: credentials and the like, for a URL: see `RemoteStore`.
        timeout: seconds that a range behind a URL may take; None: `RemoteStore`'s own.

    Raises:
        UpsDataError: the URL or the options cannot be used.
    """
    if isinstance(root, ObjectStore):
        return root
    if not is_url(root):
        return LocalStore(root)
    folder = file_of(str(root))
    if folder is not None:
        return LocalStore(folder)
    from ups_data.store.remote.store import RemoteStore  # late: needs obstore

    return RemoteStore(str(root), store_options, **({} if timeout is None else {"timeout": timeout}))


def open_to_stream(
    root: Root, *, cache: str | Path | None = None, cache_bytes: int | None = None, local_io: LocalIO | None = None
) -> ObjectStore:
    """The store as a loader reads it: scattered ranges, which it is told of ahead, through a cache if there is one.

        open_to_stream("data/run")
        open_to_stream("s3://bucket/run", cache="/nvme/cache")

    Args:
        cache: a folder; None: that of the environment's UPS_DATA_CACHE, unless the root is a folder.
        cache_bytes: what it takes at most; None: what is free there, but for a tenth.
        local_io: how the files of a folder are read; None: as is faster. Behind a cache they are always read.

    Raises:
        UpsDataError: the cache cannot be used.
    """
    store = open_store(root)
    folder = store if type(store) is LocalStore else None
    if cache is None and folder is None:
        cache = os.environ.get(ENVIRONMENT) or None
    if cache is not None:
        from ups_data.store.cached.store import CachedStore  # late: it is large, and few loaders have a cache

        return CachedStore(LocalStore(folder.root, io="read") if folder else store, cache, cache_bytes)
    return LocalStore(folder.root, advised=True, io=local_io or choose_io(folder.root)) if folder else store
