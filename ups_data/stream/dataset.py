"""`QueryDataset`: the pipeline that yields light samples."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import get_worker_info
from webdataset import DataPipeline
from webdataset.compat import FluidInterface

from ups_data.batch import QueryBatch, Recipe, Sample, SampleBlock, collate_block
from ups_data.errors import UpsDataError
from ups_data.plan import EpochPlan, SampleTable, batch_bounds, plan_epoch, sample_table
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.stream.buffers import Buffers
from ups_data.stream.reader import SampleReader

DEFAULT_POOL_BYTES = 512 * 1024**2  # two shuffle groups: see plan.GROUP_BYTES


class QueryDataset(DataPipeline, FluidInterface):
    """A `webdataset.DataPipeline` of samples: `.map`, `.select`, `.with_epoch`, `.batched` and `WebLoader` work on it.

        QueryDataset("data/run", split="train", batch_size=16, sampling=QuerySampling(ratio=0.1))
            .select(lambda sample: sample.time > 1.0)
            .batched(16, collation_fn=query_collate)

    Samples are views into a pool of decoded frames; `query_collate` draws the points and makes the only copy. In worker
    processes (`WebLoader(..., num_workers=N)`) worker w yields the samples of batches w, w + N, ….

    Args:
        root: the dataset's folder.
        split: one of the manifest's splits.
        batch_size: samples per rank and step; the order of an epoch is planned in batches.
        sampling: which points of a frame are queried.
        inputs: which points the encoder sees; None: all of them, dense.
        input_fields, target_fields: names of fields; None: all.
        input_steps: frames that the encoder sees.
        horizon: target frames; 0 makes the input frame its own target.
        dt_stride: frames from one step to the next.
        shuffle, drop_last: None: true for the split "train", false elsewhere.
        seed: of order and points.
        pool_bytes: room for decoded chunks (raw chunks are used where they are mapped).
        rank, world_size: None: from `torch.distributed` where it is initialised.
        input_queries: whether to draw points of the input frame too.
        lattice_queries: whether to draw a coarse grid for the inverse-decoding loss; needs a grid.

    Raises:
        UpsDataError: no dataset there, an unknown split or field, more queries than points, a horizon longer than
            every trajectory, or too few samples for one batch.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        split: str,
        batch_size: int,
        sampling: QuerySampling,
        inputs: QuerySampling | None = None,
        input_fields: Sequence[str] | None = None,
        target_fields: Sequence[str] | None = None,
        input_steps: int = 1,
        horizon: int = 1,
        dt_stride: int = 1,
        shuffle: bool | None = None,
        drop_last: bool | None = None,
        seed: int = 0,
        pool_bytes: int = DEFAULT_POOL_BYTES,
        rank: int | None = None,
        world_size: int | None = None,
        input_queries: bool = True,
        lattice_queries: bool = False,
    ) -> None:
        self.source = _SampleSource(
            root,
            split=split,
            batch_size=batch_size,
            sampling=sampling,
            inputs=inputs,
            input_fields=input_fields,
            target_fields=target_fields,
            input_steps=input_steps,
            horizon=horizon,
            dt_stride=dt_stride,
            shuffle=split == "train" if shuffle is None else shuffle,
            drop_last=split == "train" if drop_last is None else drop_last,
            seed=seed,
            pool_bytes=pool_bytes,
            rank=rank,
            world_size=world_size,
            input_queries=input_queries,
            lattice_queries=lattice_queries,
        )
        super().__init__(self.source.samples)

    @property
    def manifest(self) -> Manifest:
        return self.source.manifest

    def set_epoch(self, epoch: int) -> None:
        """Order and points of the passes to come are those of this epoch, in worker processes too."""
        self.source.set_epoch(epoch)


class _SampleSource:
    """The first stage of the pipeline: plans an epoch and reads it. Copies of a pipeline share it."""

    def __init__(
        self,
        root: str | Path,
        *,
        split: str,
        batch_size: int,
        sampling: QuerySampling,
        inputs: QuerySampling | None,
        input_fields: Sequence[str] | None,
        target_fields: Sequence[str] | None,
        input_steps: int,
        horizon: int,
        dt_stride: int,
        shuffle: bool,
        drop_last: bool,
        seed: int,
        pool_bytes: int,
        rank: int | None,
        world_size: int | None,
        input_queries: bool,
        lattice_queries: bool,
    ) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("input_steps", input_steps, 1),
            ("horizon", horizon, 0),
            ("dt_stride", dt_stride, 1),
        ):
            if value < least:
                raise UpsDataError(f"{name} is {value}: give at least {least}")
        self.root, self.manifest, self.split = root, Manifest.load(root), split
        self.batch_size, self.shuffle, self.drop_last, self.seed = batch_size, shuffle, drop_last, seed
        self.sampling, self.inputs = sampling, inputs
        self.input_steps, self.horizon, self.dt_stride = input_steps, horizon, dt_stride
        self.input_queries, self.lattice_queries, self._pool_bytes = input_queries, lattice_queries, pool_bytes
        everything = tuple(f.name for f in self.manifest.fields)
        self.input_fields = everything if input_fields is None else tuple(input_fields)
        self.target_fields = everything if target_fields is None else tuple(target_fields)
        self.rank, self.world_size = _rank(rank, world_size)
        if lattice_queries and self.manifest.grid is None:
            raise UpsDataError(
                "lattice_queries needs a grid, and this dataset has points: leave the inverse-decoding loss out"
            )
        if inputs is not None and input_steps > 1:
            raise UpsDataError(
                f"inputs= draws the encoder's points from one frame: input_steps is {input_steps}, give 1"
            )
        # Shared memory, so that persistent worker processes see the epoch change: (epoch, first batch).
        self._position = torch.zeros(2, dtype=torch.int64).share_memory_()
        self.num_batches = (
            len(batch_bounds(len(self.table), batch_size=batch_size, world_size=self.world_size, drop_last=drop_last))
            - 1
        )
        for drawn in (sampling, inputs):
            if drawn is not None:
                drawn.count(self.manifest.num_points, 0)

    @property
    def epoch(self) -> int:
        return int(self._position[0])

    @property
    def first_batch(self) -> int:
        return int(self._position[1])

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        self._position[0], self._position[1] = epoch, first_batch

    @cached_property
    def table(self) -> SampleTable:
        return sample_table(
            self.manifest,
            self.split,
            list(dict.fromkeys((*self.input_fields, *self.target_fields))),
            input_steps=self.input_steps,
            horizon=self.horizon,
            dt_stride=self.dt_stride,
        )

    @cached_property
    def reader(self) -> SampleReader:
        return self.open(Buffers(pinned=torch.cuda.is_available()))

    def open(self, memory: Buffers) -> SampleReader:
        """A reader whose batches take their memory from `memory`."""
        recipe = Recipe(
            sampling=self.sampling,
            inputs=self.inputs,
            seed=self.seed,
            input_queries=self.input_queries,
            lattice_queries=self.lattice_queries,
            params=tuple(self.manifest.params),
            memory=memory,
        )
        return SampleReader(
            self.root,
            self.manifest,
            self.split,
            self.table,
            recipe,
            input_fields=self.input_fields,
            target_fields=self.target_fields,
            input_steps=self.input_steps,
            horizon=self.horizon,
            dt_stride=self.dt_stride,
            pool_bytes=self._pool_bytes,
        )

    def plan(self, epoch: int) -> EpochPlan:
        """This rank's batches of one epoch."""
        return plan_epoch(
            self.table,
            seed=self.seed,
            epoch=epoch,
            batch_size=self.batch_size,
            rank=self.rank,
            world_size=self.world_size,
            shuffle=self.shuffle,
            drop_last=self.drop_last,
        )

    def points_drawn(self, epoch: int) -> int:
        """Points that a sample draws, over all its query sets."""
        sets = max(1, self.horizon) + self.input_queries + self.lattice_queries
        count = self.sampling.count(self.manifest.num_points, epoch) * sets
        return count + (0 if self.inputs is None else self.inputs.count(self.manifest.num_points, epoch))

    def samples(self) -> Iterator[Sample]:
        """Samples of the current epoch, or of this worker process's share of its batches."""
        for block in self._blocks():
            yield from block.samples()

    def batches(self) -> Iterator[QueryBatch]:
        """The same, collated batch by batch."""
        return map(collate_block, self._blocks())

    def _blocks(self) -> Iterator[SampleBlock]:
        worker = get_worker_info()
        if worker is not None and "reader" not in self.__dict__:
            # Batches go to the training process: made in shared memory, they are not copied once more.
            self.reader = self.open(Buffers(shared=True))
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch, plan = self.epoch, self.plan(self.epoch)
        for batch in range(self.first_batch + first, len(plan), stride):
            yield self.reader.block(plan[batch], epoch)

    def __getstate__(self) -> dict[str, Any]:
        # Maps, pools and tables are made anew in a worker process.
        return {k: v for k, v in self.__dict__.items() if k not in ("reader", "table")}


def _rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if world_size is None:
        world_size = torch.distributed.get_world_size() if distributed else 1
    if rank is None:
        rank = torch.distributed.get_rank() if distributed else 0
    if not 0 <= rank < world_size:
        raise UpsDataError(f"rank {rank} of world_size {world_size}: ranks count from 0 to world_size - 1")
    return rank, world_size
