"""The options of a loader that are about where its data lie: how a store is reached, and how much is read ahead."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups_data.loader.options.fields import option
from ups_data.store.kernel.choice import LocalIO
from ups_data.store.remote.gate import DEFAULT_IN_FLIGHT
from ups_data.store.remote.secrets import StoreOptions

STORAGE = "Where the data lie"
DEFAULT_PREFETCH_BYTES = 128 * 1024**2


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Options that no batch depends on; `LoaderOptions` has them too."""

    store_options: Mapping[str, Any] | None = option(
        STORAGE,
        "If the root is a URL: credentials, endpoint, region and the like, by obstore's names. What is not given is "
        "looked for in the environment. They are never shown, logged or kept in a state; worker processes get them "
        "through the pipe that starts them.",
        None,
        identity="never",
    )
    in_flight: int = option(
        STORAGE,
        "If the root is a URL: requests that this process and its workers have under way at once, "
        "all loaders together.",
        DEFAULT_IN_FLIGHT,
        least=1,
        identity="never",
    )
    prefetch_bytes: int = option(
        STORAGE,
        "If the store is slower than memory: stored bytes of coming blocks that are fetched ahead of the one that is "
        "made, over all worker processes together; at most a quarter of them for epochs that have not begun. 0: none.",
        DEFAULT_PREFETCH_BYTES,
        least=0,
        identity="never",
    )

    cache: str | Path | None = option(
        STORAGE,
        "A folder on a local disk that keeps what was fetched, for all processes of this machine and for later runs. "
        "None: what UPS_DATA_CACHE in the environment names, if the root is not a folder; else nothing is kept.",
        None,
        identity="never",
    )
    cache_bytes: int | None = option(
        STORAGE,
        "Bytes that the cache takes at most. None: what is free on its disk when it is opened, but for a tenth.",
        None,
        least=1,
        identity="never",
    )

    local_io: LocalIO | None = option(
        STORAGE,
        "How the files of a folder are read: 'map' or 'read'. None: mapped, unless the folder is on a network file "
        "system, and reading a few ranges there is measured to be faster.",
        None,
        choices=LocalIO,
        identity="never",
    )

    def __post_init__(self) -> None:
        if self.store_options is not None:
            object.__setattr__(self, "store_options", StoreOptions.read(self.store_options))
