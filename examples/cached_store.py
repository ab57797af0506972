"""A slow store with a cache before it: the first epoch fills the cache, the second one waits for nothing.

    python examples/cached_store.py FOLDER

A store in memory, every request of which takes 10 ms, stands for an object store: give a URL instead, and
`cache="/nvme/cache"`. Each line says how many chunks of an epoch the cache had.
"""

import sys
from pathlib import Path

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.store.cached.contents import contents
from ups_data.store.local import LocalStore
from ups_data.store.memory import MemoryStore

folder = Path(sys.argv[1])
with ShardWriter(folder / "data", blocks=16) as writer:
    for seed in range(4):
        writer.add({"u": np.random.default_rng(seed).standard_normal((4, 32, 32, 2), dtype=np.float32)})

local = LocalStore(folder / "data")
slow = MemoryStore({key: local.get(key, size) for key, size in local.list("")}, latency=0.01)
loader = QueryLoader(
    slow,
    split="train",
    batch_size=4,
    sampling=QuerySampling(ratio=0.25, mode="blocks"),
    cache=folder / "cache",
    cache_bytes=50_000_000,
    threads=0,
)
for epoch in range(3):
    before = loader.stats
    for _ in loader:
        pass
    done = loader.stats - before
    print(f"epoch {epoch}: {done.cache_hits} chunks were in the cache, waited {done.wait_seconds:.2f} s")
found = contents(folder / "cache")
print(f"{found.chunks} chunks of {found.objects} objects, {found.used / 1e6:.2f} MB on the disk")
