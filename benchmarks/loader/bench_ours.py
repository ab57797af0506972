"""This project's loader, as the benchmark runs it: with its own defaults.

A compressed dataset is measured while it is really decoded, as it is in training: its shards hold copies of the
workload's trajectories until it is about four times the pool. `decoded_chunks_per_epoch` says how often chunks were
decoded; it should be about `stored_chunks`.

A dataset that the pool holds (`--small`, points, perhaps your own) would not be decoded again after the first epoch.
There every epoch gets a new loader, made before the clock starts. Opening the shards and the first touch of the pool's
memory then count in every epoch, which training pays once: such a figure is too low.

Worker processes have a pool each; with `num_workers` the loader stays, and how often they decode is not known here.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from benchmarks.loader.bench_workloads import CLOUD_PASSES, PARTS, Case, touched_bytes
from ups_data import QueryBatch, QueryLoader, QuerySampling
from ups_data.loader.options.record import DEFAULT_POOL_BYTES
from ups_data.schema import Manifest
from ups_data.store.shard import Shard

COUNTED = ("decoded_chunks", "decoded_bytes", "read_bytes", *(f"{part}_seconds" for part in PARTS))


class ThisLoader:
    """`QueryLoader` over the workload's shards."""

    def __init__(self, case: Case, threads: int | None, num_workers: int, dataset: Path | None = None) -> None:
        self._case, self._threads, self._num_workers = case, threads, num_workers
        self._dataset = case.dataset if dataset is None else dataset
        self.manifest = Manifest.load(self._dataset)
        self._moving = [f for f in self.manifest.fields if not f.static]
        self.pool_bytes = DEFAULT_POOL_BYTES
        decodes = case.codec != "none" and num_workers == 0
        self.fresh_loader_per_epoch = decodes and self._decoded_bytes() <= self.pool_bytes
        self._past = dict.fromkeys(COUNTED, 0.0)  # of loaders that are gone
        self._passes = 0
        self._loader = self._open()

    def _open(self) -> QueryLoader:
        case = self._case
        fields = [f.name for f in self._moving]
        mode: Literal["stratified", "blocks"] = "stratified" if self.manifest.blocks == 1 else "blocks"
        drawn = QuerySampling(num_queries=case.queries, mode=mode)
        loader = QueryLoader(
            self._dataset,
            split=case.split,
            batch_size=case.batch,
            sampling=drawn,
            inputs=drawn if case.draws_inputs else None,
            input_fields=fields,
            target_fields=fields,
            horizon=case.horizon,
            shuffle=True,
            drop_last=True,
            threads=self._threads,
            num_workers=self._num_workers,
            pool_bytes=self.pool_bytes,
            input_queries=False,
            repeats=CLOUD_PASSES if case.draws_inputs else 1,
        )
        loader.set_epoch(self._passes)
        return loader

    def prepare(self) -> None:
        """Before an epoch, outside its time."""
        if self.fresh_loader_per_epoch and self._passes:
            self._past = self.counters()
            self._loader = None
            gc.collect()  # its pool goes before the next one comes
            self._loader = self._open()

    def batches(self) -> Iterator[QueryBatch]:
        """One epoch."""
        self._passes += 1
        return iter(self._loader)

    def counters(self) -> dict[str, float]:
        """Totals since the start, of whatever `loader.stats` counts."""
        if self._loader is None:
            return self._past
        stats = self._loader.stats
        now = {name: float(getattr(stats, name)) for name in COUNTED}
        now["assemble_seconds"] += stats.draw_seconds
        return {name: past + now[name] for name, past in self._past.items()}

    def bytes_read(self) -> float | None:
        """Bytes per sample of whole mapped frames: dense ones whole, queries by the pages that they lie on. None where
        the loader's own count of stored bytes says it."""
        if self.manifest.blocks > 1 or self.manifest.codec != "none":
            return None
        points, point_bytes = self.manifest.num_points, sum(f.point_bytes for f in self._moving)
        return points * point_bytes + self._case.horizon * touched_bytes(points, self._case.queries, point_bytes)

    def stored(self) -> tuple[int, int]:
        """Chunks of the split's fields and points, and their bytes."""
        chunks = size = 0
        for shard in self.manifest.split(self._case.split).shards:
            opened = Shard(self._dataset, self.manifest, shard)
            arrays = {f"fields/{f.name}": opened.field(f.name) for f in self._moving}
            if self.manifest.points is not None:
                arrays |= {"points/coords": opened.coords(), "points/index": opened.index()}
            for name, array in arrays.items():
                chunks += -(-array.shape[0] // array.chunk_rows) * array.blocks
                objects = (self._dataset / shard.path / name / "c").rglob("*")
                size += sum(f.stat().st_size for f in objects if f.is_file())
        return chunks, size

    def _decoded_bytes(self) -> int:
        split, points = self.manifest.split(self._case.split), self.manifest.points
        frames = sum(s.rows for s in split.shards) * sum(map(self.manifest.frame_bytes, self._moving))
        coords = 0 if points is None else split.num_trajectories * points.num_points * points.dim * 4  # float32
        return frames + coords


class ThisLoaderInBlocks(ThisLoader):
    """The same over shards in blocks, of which it reads those that it draws."""

    def __init__(self, case: Case, threads: int | None, num_workers: int) -> None:
        super().__init__(case, threads, num_workers, case.blocked)
