"""What `test_long_stream.py` runs: four loaders and a mixture side by side for a given time, every batch checked.

Arguments: an empty folder, minutes. Also a program of its own: `python -m tests.faults.streaming /tmp/stream 60`.

Beside each loader runs its prediction: a loader of the same arguments that makes its batches in the calling thread. The
two must agree in every batch (order, points, values, weights: one digest), and each epoch's digest in the number of
samples. Now and then the loader's state is compared with what the number of batches so far predicts, and a loader that
was made afresh from it must go on with the same batches.
"""

import gc
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.datasets import fields, write_grid
from tests.faults.stall import Watch
from ups_data import QueryBatch, QueryLoader, QuerySampling, ShardWriter
from ups_data.loader.mixture import QueryMixture

REPORT_EVERY = 300  # seconds
STATE_EVERY = 23  # batches: no divisor of an epoch's
LAPS = 12  # at least
FOLLOWED = 3  # batches that a loader made afresh from a state is followed for


def write(root: Path) -> None:
    write_grid(root / "raw", grid=(48, 48), steps=(9,) * 8, codec="none", shard_bytes=300_000)
    write_grid(root / "blocks", grid=(48, 48), steps=(9,) * 6, codec="lz4", blocks=16, shard_bytes=300_000)
    write_grid(root / "lz4", grid=(48, 48), steps=(9, 4, 7, 9, 2, 9), codec="lz4", shard_bytes=300_000)
    rng = np.random.default_rng(0)
    with ShardWriter(root / "cloud", codec="lz4", blocks=4) as writer:
        for i, points in enumerate((1800, 700, 2500, 60, 1200)):
            u = fields(i, 6, (points,))
            writer.add({"u": u}, coords=rng.random((points, 3)).astype(np.float32), key=str(i))


def scenarios(root: Path) -> "list[Stream]":
    """Pools hold about a third of the data, so that chunks come and go."""
    ramp = {"start_ratio": 0.5, "end_ratio": 0.125, "end_epoch": 3}
    cosine = QuerySampling(mode="stratified", schedule="cosine", **ramp)
    by_step = QuerySampling(mode="blocks", schedule="linear", schedule_unit="step", **ramp)
    errors = QuerySampling(mode="importance", importance_metric="error", importance_window=2, ratio=0.1)
    uniform = QuerySampling(ratio=0.1)
    return [
        Stream("raw frames, schedule", {"root": root / "raw", "sampling": cosine, "batch_size": 6, "threads": 2}),
        Stream(
            "lz4 blocks, schedule by step",
            {"root": root / "blocks", "sampling": by_step, "batch_size": 4, "horizon": 2, "pool_bytes": 400_000},
            {"threads": 2},
        ),
        Stream(
            "lz4 ragged cloud, padded",
            {"root": root / "cloud", "sampling": uniform, "inputs": uniform, "ragged": "pad", "pool_bytes": 100_000},
            {"threads": 1},
        ),
        Stream(
            "lz4 frames, feedback, 2 worker processes",
            {"root": root / "lz4", "sampling": errors, "batch_size": 4, "drop_last": False, "pool_bytes": 300_000},
            {"num_workers": 2},
            feeds_back=True,
        ),
        MixtureStream(
            "mixture of raw frames and padded lz4 frames, feedback",
            {"sampling": errors, "batch_size": 4, "root": [root / "raw", root / "lz4"]},
            {"threads": 1},
            feeds_back=True,
        ),
    ]


@dataclass
class Stream:
    """One loader and its prediction."""

    name: str
    options: dict[str, Any]
    making: dict[str, Any] = field(default_factory=dict)  # how its batches are made
    feeds_back: bool = False
    batches: int = 0
    samples: int = 0
    states: int = 0
    epochs: int = 0
    digest: str = ""

    def __post_init__(self) -> None:
        self.options = {"split": "train", "batch_size": 3, "seed": 5, **self.options}
        self.loader = self._made(**self.making)
        self.prediction = self._made(threads=0)

    def _made(self, **making: Any) -> QueryLoader | QueryMixture:
        return QueryLoader(**{**self.options, **making})

    def _check_samples(self, seen: set[tuple[int, ...]], last: QueryBatch) -> None:
        """Every sample came, but for what does not fill a batch."""
        expected = len(self.loader._source.table)
        assert len(seen) == (expected // len(last) * len(last) if self.loader.drop_last else expected), self.name

    def stream_epoch(self) -> None:
        """One epoch, batch by batch against the prediction; raises AssertionError where they part."""
        followed: list[tuple[QueryLoader | QueryMixture, Iterator[QueryBatch], int]] = []
        whole, seen = hashlib.sha256(), set()
        for batch, predicted in zip(self.loader, self.prediction, strict=True):
            mine = digest(batch)
            assert mine == digest(predicted), f"{self.name}: batch {self.batches} is not as predicted"
            whole.update(mine)
            keys = zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)
            seen.update((batch.source, *key) for key in keys)
            self.batches, self.samples = self.batches + 1, self.samples + len(batch)
            followed = [one for one in followed if self._follow(*one, batch)]
            if self.feeds_back:
                errors = 1.0 + batch.target_queries.index % 7
                for loader in (self.loader, self.prediction, *(one[0] for one in followed)):
                    loader.feedback(batch, errors)
            if self.batches % STATE_EVERY == 0:
                followed.append(self._afresh())
        self._check_samples(seen, batch)
        self.epochs, self.digest = self.epochs + 1, whole.hexdigest()
        assert self.loader.epoch == self.epochs, self.name

    def _afresh(self) -> tuple[QueryLoader | QueryMixture, Iterator[QueryBatch], int]:
        """A loader made from the state, which must be that of so many batches."""
        state = self.loader.state_dict()
        assert (state["epoch"], state["batch"]) == divmod(self.batches, len(self.loader)), self.name
        self.states += 1
        loader = self._made(threads=0)
        loader.load_state_dict(state)
        return loader, iter(loader), self.batches

    def _follow(
        self, loader: QueryLoader | QueryMixture, batches: Iterator[QueryBatch], since: int, batch: QueryBatch
    ) -> bool:
        """Compare a batch of a loader made afresh; whether to go on."""
        number = self.batches - since
        assert digest(next(batches)) == digest(batch), f"{self.name}: batch {number} after a state is another one"
        return number < FOLLOWED


class MixtureStream(Stream):
    """A mixture of two loaders, the second of which pads."""

    def _made(self, **making: Any) -> QueryMixture:
        options = {**self.options, **making}
        loaders = [
            QueryLoader(**{**options, "root": root, "pad": number == 1}) for number, root in enumerate(options["root"])
        ]
        return QueryLoader.mix(loaders, weights=[2, 1], epoch_batches=10)

    def _check_samples(self, seen: set[tuple[int, ...]], last: QueryBatch) -> None:
        assert {source for source, *_ in seen} == {0, 1}, self.name


def digest(batch: QueryBatch) -> bytes:
    found = hashlib.sha256(str(batch.epoch).encode())

    def update(tensor: torch.Tensor) -> None:
        found.update(f"{tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().numpy())

    batch.for_each_tensor(update)
    return found.digest()


@dataclass
class Held:
    """What this process and those that it started hold."""

    seconds: float
    memory: int  # bytes, anonymous and shared
    processes: int
    threads: int
    descriptors: int


def held(since: float) -> Held:
    gc.collect()  # loaders that were made afresh
    found = Held(time.monotonic() - since, 0, 0, 0, 0)
    for pid in tree(os.getpid()):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        found.memory += sum(int(status[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
        found.processes += 1
        found.threads += int(status["Threads"])
        found.descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return found


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def main(root: Path, minutes: float) -> list[Held]:
    """Laps of one epoch of each loader until the time is over; what was held after each."""
    watch = Watch()
    write(root)
    streams = scenarios(root)
    begun = time.monotonic()
    laps: list[Held] = []
    while (now := time.monotonic() - begun) < 60 * minutes or len(laps) < LAPS:
        for stream in streams:
            stream.stream_epoch()
            watch.alive()
        laps.append(held(begun))
        if now // REPORT_EVERY < laps[-1].seconds // REPORT_EVERY:
            print(report(laps, streams), flush=True)
    print(report(laps, streams), flush=True)
    for stream in streams:
        print(f"  {stream.name}: {stream.epochs} epochs, {stream.batches} batches, {stream.states} states", flush=True)
    return laps


def report(laps: list[Held], streams: list[Stream]) -> str:
    now = laps[-1]
    return (
        f"{now.seconds / 60:6.1f} min: {len(laps)} laps, {sum(s.batches for s in streams)} batches as predicted, "
        f"{sum(s.states for s in streams)} states, {now.memory / 1e6:.1f} MB, {now.processes} processes, "
        f"{now.threads} threads, {now.descriptors} descriptors"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    laps = main(folder, float(sys.argv[2]))
    (folder / "laps.json").write_text(json.dumps([asdict(lap) for lap in laps]))
