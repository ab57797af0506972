"""How fast a loader hands out batches, and where its time goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups_data.loader.loader import QueryLoader
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.store.root import open_store

PARTS = ("fetch", "decode", "draw", "assemble")


@dataclass(frozen=True)
class Throughput:
    """What was measured.

    Attributes:
        samples, batches: handed out in `seconds`; passes: complete ones among them.
        first_batch_seconds: from the loader, made, to its first batch: files are opened, nothing is in memory.
        wait_seconds: of `seconds`, the consumer waited for a batch.
        part_seconds: fetch, decode, draw and assemble, each summed over the loader's threads and processes.
        read_bytes_per_sample: stored bytes of the chunks that were used, in the first pass or its part that was taken.
            In later ones, the pool may hold compressed chunks.
        batch_bytes: of one sample's tensors.
        queries: target points of one sample and frame, over all sets of points.
    """

    samples: int
    batches: int
    passes: int
    seconds: float
    first_batch_seconds: float
    wait_seconds: float
    part_seconds: dict[str, float]
    read_bytes_per_sample: float
    batch_bytes: float
    queries: int

    @property
    def samples_per_second(self) -> float:
        """Samples that the loop took in a second."""
        return self.samples / self.seconds

    @property
    def batches_per_second(self) -> float:
        """Batches that the loop took in a second."""
        return self.batches / self.seconds

    def figures(self) -> dict[str, Any]:
        """Every figure, ready for JSON."""
        return {
            "samples_per_second": self.samples_per_second,
            "batches_per_second": self.batches_per_second,
            **vars(self),
        }


def default_horizon(manifest: Manifest, split: str) -> int:
    """One step ahead; 0, the frame itself, if the simulations have no time."""
    return min(1, max(steps for shard in manifest.split(split).shards for steps in shard.steps) - 1)


def open_loader(
    root: str | Path,
    *,
    split: str = "train",
    batch_size: int = 16,
    ratio: float = 0.1,
    input_ratio: float | None = None,
    mode: str | None = None,
    horizon: int | None = None,
    num_workers: int = 0,
    threads: int | None = None,
) -> QueryLoader:
    """A loader as one would train with, for any dataset.

    Args:
        ratio: queries ÷ points, of every set of points alike.
        input_ratio: of the encoder's points; None: all points of a grid, `ratio` of a set of points.
        mode: None: blocks if the dataset has them, else stratified.
        horizon: None: one step ahead, or the frame itself if the simulations have no time.

    Raises:
        UpsDataError: `QueryLoader`'s.
    """
    manifest = Manifest.load(open_store(root))
    mode = mode or ("blocks" if manifest.blocks > 1 else "stratified")
    if input_ratio is None and manifest.grid is None:
        input_ratio = ratio

    def drawn(share: float) -> QuerySampling | dict[str, QuerySampling]:
        sampling = QuerySampling(ratio=share, mode=mode)
        return sampling if manifest.sets is None else dict.fromkeys(manifest.sets, sampling)

    return QueryLoader(
        root,
        split=split,
        batch_size=batch_size,
        sampling=drawn(ratio),
        inputs=None if input_ratio is None else drawn(input_ratio),
        horizon=default_horizon(manifest, split) if horizon is None else horizon,
        drop_last=False,
        num_workers=num_workers,
        threads=threads,
    )


def measure(loader: QueryLoader, seconds: float, progress: Callable[[float], None] = lambda spent: None) -> Throughput:
    """Take batches for so many seconds, one pass after another, and do nothing with them.

    The clock starts after the first batch. The starts of passes count, as they do in training.

    Args:
        loader: with at least one batch in a pass.
        progress: called with the seconds spent.
    """
    begun = time.perf_counter()
    batches = iter(loader)
    batch = next(batches)
    start = time.perf_counter()
    first, before, spent = start - begun, loader.stats, 0.0
    first_pass = None
    while spent < seconds:
        for _ in batches:
            spent = time.perf_counter() - start
            progress(spent)
            if spent >= seconds:
                break
        else:
            first_pass = first_pass or loader.stats
            batches = iter(loader)
    first_pass = first_pass or loader.stats
    after = loader.stats - before
    return Throughput(
        samples=after.samples,
        batches=after.batches,
        passes=(after.batches + 1) // len(loader),  # the first batch was taken before the clock started
        seconds=spent,
        first_batch_seconds=first,
        wait_seconds=after.wait_seconds,
        part_seconds={part: getattr(after, f"{part}_seconds") for part in PARTS},
        read_bytes_per_sample=first_pass.read_bytes / first_pass.samples,
        batch_bytes=batch.nbytes() / len(batch),
        queries=sum(b.target_queries.coords.shape[-2] for b in (batch, *batch.others.values())),
    )
