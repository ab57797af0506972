"""What is measured, each in a process of its own: `python -m benchmarks.remote.systems JSON` prints its figures."""

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loader.bench_workloads import CLOUD_PASSES

# Twice what is fetched ahead, and less than the data: so that each epoch fetches what it needs.
SMALL_POOL = 256 * 1024**2
Ranges = list[tuple[str, int, int]]  # object, start, stop


def ranges_of(log: bytes) -> tuple[Ranges, int]:
    """The ranges that a server's log lists, and the bytes of all bodies."""
    found, size = [], 0
    for line in log.decode().splitlines():
        _, path, wanted, status, sent = line.split(" ")
        size += int(sent)
        if status == "206":
            low, _, high = wanted.removeprefix("bytes=").partition("-")
            found.append((path, int(low), int(high) + 1))
    return found, size


def ours(given: dict[str, Any]) -> dict[str, Any]:
    """This loader: one epoch and more, after its first batch was made and thrown away."""
    from ups_data import QueryLoader, QuerySampling

    begun = time.perf_counter()
    mode = "blocks" if given["blocks"] > 1 else "stratified"
    drawn = QuerySampling(num_queries=given["queries"], mode=mode)
    points = given["draws_inputs"]
    loader = QueryLoader(
        given["root"],
        split="train",
        batch_size=given["batch"],
        sampling=drawn,
        inputs=drawn if points else None,
        horizon=given["horizon"],
        input_queries=False,
        repeats=CLOUD_PASSES if points else 1,
        **({"pool_bytes": SMALL_POOL} if given["epochs"] > 1 else {}),
        **given.get("options", {}),
    )
    batches = iter(loader)
    next(batches)
    first = time.perf_counter() - begun
    del batches
    epochs, at = given["epochs"], given.get("warm_epochs", 0)
    for _ in range(at):
        loader.set_epoch(1)
        for _ in loader:
            pass
    time.sleep(0.5)  # what the first pass had asked for is there by now
    log, before, io = given.get("log"), loader.stats, _device_bytes()
    mark = os.path.getsize(log) if log else 0
    samples, waited, begun, consume = 0, before.wait_seconds, time.perf_counter(), given.get("consume", 0.0)
    # After an epoch that filled a cache the same one again, which draws the same points.
    for epoch in [1] * epochs if at else range(2, 2 + epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            samples += len(batch)
            if consume:
                if samples == len(batch):  # the first one: what is waited for it does not count
                    waited = loader.stats.wait_seconds
                time.sleep(consume)
    seconds = time.perf_counter() - begun
    after = loader.stats
    found = {
        "samples": samples,
        "seconds": seconds,
        "first_batch_seconds": first,
        "used_bytes": (after - before).read_bytes,
        "device_bytes": _device_bytes() - io,
        "waiting": (after.wait_seconds - waited) / seconds,
        "mark": mark,
        "one": 1,
    }
    return found | ({"end": os.path.getsize(log)} if log else {})


def first_batch(given: dict[str, Any]) -> dict[str, Any]:
    """A loader's first batch, from nothing."""
    from ups_data import QueryLoader, QuerySampling

    begun = time.perf_counter()
    sampling = QuerySampling(ratio=0.1, mode="blocks")
    loader = QueryLoader(given["root"], split="train", batch_size=given["batch"], sampling=sampling, horizon=0)
    next(iter(loader))
    return {"samples": given["batch"], "seconds": time.perf_counter() - begun}


def limit(given: dict[str, Any]) -> dict[str, Any]:
    """A program that fetches ranges of objects, so many at once, and nothing else."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(given["url"], client_options={"allow_http": True})
    ranges: Ranges = json.loads(Path(given["ranges"]).read_text())

    async def fetch() -> float:
        gate = asyncio.Semaphore(given["in_flight"])

        async def one(path: str, start: int, stop: int) -> None:
            async with gate:
                await obstore.get_range_async(store, path.lstrip("/"), start=start, end=stop)

        begun = time.perf_counter()
        await asyncio.gather(*[one(*wanted) for wanted in ranges])
        return time.perf_counter() - begun

    return {"samples": given["samples"], "seconds": asyncio.run(fetch())}


def exact_reads(given: dict[str, Any]) -> dict[str, Any]:
    """The same of local files: 32 threads that read exact ranges."""
    ranges: Ranges = json.loads(Path(given["ranges"]).read_text())
    files = {path: os.open(given["folder"] + path, os.O_RDONLY) for path in {path for path, _, _ in ranges}}
    for file in files.values():
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    io, begun = _device_bytes(), time.perf_counter()
    with ThreadPoolExecutor(32) as executor:
        for _ in executor.map(lambda r: len(os.pread(files[r[0]], r[2] - r[1], r[1])), ranges):
            pass
    seconds = time.perf_counter() - begun
    return {"samples": given["samples"], "seconds": seconds, "device_bytes": _device_bytes() - io}


def zarr_threads(given: dict[str, Any]) -> dict[str, Any]:
    """zarr on obstore, 16 threads: of clouds random chunks of shuffled points, of grids whole frames."""
    import zarr
    from obstore.store import HTTPStore
    from zarr.storage import ObjectStore

    def opened(path: str) -> Any:
        store = HTTPStore.from_url(f"{given['url']}/{path}", client_options={"allow_http": True})
        return zarr.open_array(ObjectStore(store, read_only=True), mode="r")

    random, samples = np.random.default_rng(0), given["zarr_samples"]
    if given["draws_inputs"]:
        names = ("position", "values")
        clouds = [{n: opened(f"{given['chunks']}/{i}.zarr/{n}") for n in names} for i in range(given["trajectories"])]
        chunk, rows = clouds[0]["values"].chunks[0], clouds[0]["values"].shape[0]
        count = given["queries"] // chunk
    else:
        frames = opened(given["chunks"])
    begun = time.perf_counter()
    for _ in range(samples):
        if given["draws_inputs"]:
            cloud = clouds[int(random.integers(len(clouds)))]
            chosen = [c for _ in range(2) for c in random.permutation(rows // chunk)[:count].tolist()]
            jobs = [(cloud[name], c * chunk, (c + 1) * chunk) for c in chosen for name in cloud]
        else:
            row = int(random.integers(frames.shape[0] - given["horizon"]))
            jobs = [(frames, r, r + 1) for r in range(row, row + given["horizon"] + 1)]
        with ThreadPoolExecutor(16) as executor:
            list(executor.map(lambda job: np.asarray(job[0][job[1] : job[2]]), jobs))
    return {"samples": samples, "seconds": time.perf_counter() - begun}


def plain_fsspec(given: dict[str, Any]) -> dict[str, Any]:
    """fsspec's `cat_ranges`, the ranges of a batch at once."""
    import fsspec

    files, url = fsspec.filesystem("http"), given["url"]
    ranges: Ranges = json.loads(Path(given["ranges"]).read_text())
    of_batch = max(1, round(len(ranges) * given["batch"] / given["samples"]))
    batches, begun = 0, time.perf_counter()
    while batches * of_batch < len(ranges) and time.perf_counter() - begun < given["fsspec_seconds"]:
        some = list(islice(ranges, batches * of_batch, (batches + 1) * of_batch))
        files.cat_ranges([f"{url}{path}" for path, _, _ in some], [r[1] for r in some], [r[2] for r in some])
        batches += 1
    return {"samples": batches * given["batch"], "seconds": time.perf_counter() - begun}


def _device_bytes() -> int:
    """Bytes that storage has delivered to this process, as the kernel counts them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


SYSTEMS = {f.__name__: f for f in (ours, first_batch, limit, exact_reads, zarr_threads, plain_fsspec)}

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(SYSTEMS[told["system"]](told)), flush=True)
    os._exit(0)  # obstore's threads may abort a process that takes its interpreter down
