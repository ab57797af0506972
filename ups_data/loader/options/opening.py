"""From what a user gives as the root of a dataset to what a loader reads."""

from pathlib import Path

from ups_data.engine.stats import LoaderStats
from ups_data.loader.options.storage import StorageOptions
from ups_data.schema import Manifest
from ups_data.store.counts import StoreCounts
from ups_data.store.object_store import ObjectStore
from ups_data.store.remote.urls import is_url
from ups_data.store.root import Root, open_store

# Of a batch's timeout that a range may take: the store's error, which says more, comes before the loader's.
SHARE_OF_TIMEOUT = 0.4
LONGEST_RANGE = 60.0


def opened_root(root: Root, options: StorageOptions, timeout: float | None = None) -> str | Path | ObjectStore:
    """The folder as it was given, or the store that a URL names.

    Raises:
        UpsDataError: the URL or the options cannot be used.
    """
    if not is_url(root):
        return root
    seconds = LONGEST_RANGE if timeout is None else min(LONGEST_RANGE, SHARE_OF_TIMEOUT * timeout)
    return open_store(root, options.store_options, timeout=seconds)


def asked_of(root: Root) -> LoaderStats:
    """What the store behind a URL was asked for by this process."""
    counts = root.counts() if isinstance(root, ObjectStore) else StoreCounts()
    return LoaderStats(requests=counts.requests, fetched_bytes=counts.fetched_bytes, retries=counts.retries)


def load_manifest(root: Root, options: StorageOptions) -> Manifest:
    """What a dataset says it is, wherever it lies."""
    return Manifest.load(opened_root(root, options))
