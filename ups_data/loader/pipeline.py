"""The first stage of the pipeline: plans an epoch and reads it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ups_data.batch import QueryBatch, Recipe, Sample
from ups_data.engine.buffers import Buffers
from ups_data.engine.engine import Engine
from ups_data.engine.ranks import rank_and_world
from ups_data.engine.stats import LoaderStats, StatsInMaking
from ups_data.errors import UpsDataError
from ups_data.loader.averages import zero_table
from ups_data.loader.selection import Ragged, Sampling, select
from ups_data.plan import EpochPlan, batch_bounds, plan_epoch
from ups_data.plan.samples import SampleTable, repeated, sample_table
from ups_data.points.tiles import num_tiles
from ups_data.reading.damage import DamagedSamples
from ups_data.reading.pool import Pool
from ups_data.reading.reader import SampleReader
from ups_data.schema import Manifest
from ups_data.store.arrays.stored import Verify
from ups_data.store.root import Root
from ups_data.store.shard import Shard

BLOCK_SAMPLES = 64
BLOCK_POINTS = 128 * 1024
BLOCK_BYTES = 64 * 1024**2
BLOCKS_OF_POOL = 8  # a block is at most this part of the pool: those at work together take about half of it


@dataclass(eq=False)
class SampleSource:
    """Samples of one split, epoch by epoch. Copies of a pipeline share it; worker processes get it pickled.

    The attributes are `QueryDataset`'s arguments, with None resolved.
    """

    root: Root
    split: str
    batch_size: int
    sampling: Sampling
    inputs: Sampling | None
    input_fields: Sequence[str] | None
    target_fields: Sequence[str] | None
    input_steps: int
    horizon: int
    dt_stride: int
    shuffle: bool
    drop_last: bool
    seed: int
    pool_bytes: int
    rank: int | None
    world_size: int | None
    input_queries: bool
    lattice_queries: bool
    input_stride: int
    ragged: Ragged
    repeats: int
    verify: Verify
    pad: bool
    canonical_ranks: int

    def __post_init__(self) -> None:
        for name, least in (
            ("batch_size", 1),
            ("input_steps", 1),
            ("horizon", 0),
            ("dt_stride", 1),
            ("input_stride", 1),
            ("repeats", 1),
        ):
            if getattr(self, name) < least:
                raise UpsDataError(f"{name} is {getattr(self, name)}: give at least {least}")
        if self.verify not in get_args(Verify):
            raise UpsDataError(f"verify={self.verify!r}: choose one of {', '.join(get_args(Verify))}")
        self.manifest = Manifest.load(self.root)
        if self.lattice_queries and self.manifest.grid is None:
            raise UpsDataError(
                "lattice_queries needs a grid, and this dataset has points: leave the inverse-decoding loss out"
            )
        if self.inputs is not None and self.input_steps > 1:
            raise UpsDataError(
                f"inputs= draws the encoder's points from one frame: input_steps is {self.input_steps}, give 1"
            )
        if self.input_stride > 1 and (self.manifest.grid is None or self.inputs is not None or self.input_queries):
            raise UpsDataError(
                f"input_stride={self.input_stride} thins the dense input of a grid: it goes with neither points, nor "
                "inputs=, nor input_queries"
            )
        self.selections = select(
            self.manifest,
            self.split,
            sampling=self.sampling,
            inputs=self.inputs,
            input_fields=self.input_fields,
            target_fields=self.target_fields,
            ragged=self.ragged,
        )
        self.place, self.places = rank_and_world(self.rank, self.world_size)
        self.bounds = batch_bounds(
            len(self.table),
            batch_size=self.batch_size,
            world_size=self.places,
            drop_last=self.drop_last,
            pad=self.pad,
            canonical_ranks=self.canonical_ranks,
        )
        self.num_batches, trajectories = len(self.bounds) - 1, self.manifest.split(self.split).num_trajectories
        self._stats, self._process = StatsInMaking(), os.getpid()
        self.damaged: DamagedSamples | None = None  # where a loader leaves damaged samples out
        # Of the tiles of sets of points whose draws look at errors; worker processes map them too.
        self.errors = {
            s.set_name: zero_table(1 if s.feeds_back.importance_shared else trajectories, num_tiles(s.most))
            for s in self.selections
            if s.feeds_back is not None
        }
        # Shared memory, so that persistent worker processes see the epoch change: (epoch, first batch).
        self._position = torch.zeros(2, dtype=torch.int64).share_memory_()

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
        table = sample_table(
            self.manifest,
            self.split,
            list(dict.fromkeys(name for s in self.selections for name in (*s.input_fields, *s.target_fields))),
            input_steps=self.input_steps,
            horizon=self.horizon,
            dt_stride=self.dt_stride,
        )
        return table if self.repeats == 1 else repeated(table, self.repeats)

    @cached_property
    def readers(self) -> list[SampleReader]:
        """One for each selection."""
        return self.open(Buffers(pinned=torch.cuda.is_available()))

    def open(self, memory: Buffers) -> list[SampleReader]:
        """Readers whose batches take their memory from `memory`."""
        shards = [Shard(self.root, self.manifest, s, self.verify) for s in self.manifest.split(self.split).shards]
        pool = Pool(self.pool_bytes, fits=self.decoded_bytes <= self.pool_bytes)
        return [
            SampleReader(
                self.manifest,
                shards,
                self.table,
                Recipe(
                    sampling=selection.sampling,
                    inputs=selection.inputs,
                    seed=self.seed,
                    input_queries=self.input_queries,
                    lattice_queries=self.lattice_queries,
                    params=tuple(self.manifest.params),
                    memory=memory,
                    fewest=None if selection.padded or not selection.is_ragged else selection.fewest,
                    input_stride=self.input_stride,
                    repeats=self.repeats,
                ),
                pool,
                input_fields=selection.input_fields,
                target_fields=selection.target_fields,
                input_steps=self.input_steps,
                horizon=self.horizon,
                dt_stride=self.dt_stride,
                set_name=selection.set_name,
                errors=self.errors.get(selection.set_name),
                skips=self.damaged is not None,
            )
            for selection in self.selections
        ]

    @property
    def decoded_bytes(self) -> int:
        """Of all frames of the split's fields that are read."""
        names = {name for s in self.selections for name in (*s.input_fields, *s.target_fields)}
        rows = sum(shard.rows for shard in self.manifest.split(self.split).shards)
        return rows * sum(self.manifest.frame_bytes(self.manifest.field(name)) for name in names)

    def plan(self, epoch: int) -> EpochPlan:
        """This rank's batches of one epoch.

        Raises:
            UpsDataError: in a process that was forked from the one that opened the dataset.
        """
        self.check_process()
        return plan_epoch(
            self.table,
            seed=self.seed,
            epoch=epoch,
            batch_size=self.batch_size,
            rank=self.place,
            world_size=self.places,
            shuffle=self.shuffle,
            drop_last=self.drop_last,
            pad=self.pad,
            canonical_ranks=self.canonical_ranks,
        )

    def check_process(self) -> None:
        """Refuse to go on in a process that was forked from the one that opened the dataset."""
        if os.getpid() != self._process:
            raise UpsDataError(
                "this dataset was opened before the process forked, and its threads and maps do not survive that: "
                "start workers with multiprocessing_context='forkserver' (or 'spawn'), or open it in the worker"
            )

    def block_samples(self, epoch: int) -> int:
        """How many samples are made at once: few enough for their points to stay in a core's cache while they are
        drawn, and for their frames to be few against the pool. 0: one batch."""
        if any(s.padded and s.is_ragged for s in self.selections):
            return 0  # a padded batch's rows are as long as its longest
        if self.by_step:
            return 0  # each batch has a ratio of its own
        drawn = sum(s.points_drawn(epoch, self.query_sets) for s in self.selections if not s.only_blocks(epoch))
        size = sum(s.sample_bytes(self.manifest, epoch, self.query_sets, self.input_steps) for s in self.selections)
        room = min(BLOCK_BYTES, self.pool_bytes // BLOCKS_OF_POOL)
        return min(BLOCK_SAMPLES, BLOCK_POINTS // max(1, drawn), room // size)

    @property
    def by_step(self) -> bool:
        """Whether a schedule moves on within an epoch."""
        drawn = [sampling for s in self.selections for sampling in (s.sampling, s.inputs) if sampling is not None]
        return any(s.schedule_unit == "step" and s.schedule != "constant" for s in drawn)

    def moment(self, epoch: int, batch: int) -> float:
        """Where a batch is on the schedules: in its epoch, or so many of its epoch's batches into it."""
        return epoch + batch / self.num_batches if self.by_step else epoch

    @property
    def query_sets(self) -> int:
        """Query sets of a sample, one for each frame of the horizon."""
        return max(1, self.horizon) + self.input_queries + self.lattice_queries

    def samples(self) -> Iterator[Sample]:
        """Samples of the current epoch, or of this worker process's share of its batches."""
        if len(self.selections) > 1:
            raise UpsDataError("a pipeline's samples are of one set of points: take QueryLoader for several")
        epoch, numbers, batches = self._share()
        for number, samples in zip(numbers, batches, strict=True):
            self.check_process()
            block = self.readers[0].block(samples, epoch, self.moment(epoch, number))
            block.valid = self.plan(epoch).valid(number) if self.pad else None
            yield from block.samples()

    def batches(self, epoch: int, first: int, stride: int) -> Iterator[QueryBatch]:
        """Batches first, first + stride, … of an epoch: what a worker process of a loader makes."""
        if "readers" not in self.__dict__:
            self.readers = self.open(Buffers())
        plan = self.plan(epoch)
        numbers = range(first, len(plan), stride)
        return iter(self.engine([plan[batch] for batch in numbers], epoch, numbers=numbers, threads=0))

    def describe(self, epoch: int, batch: int) -> str:
        """A batch of this rank, and where its samples lie: for errors."""
        shards = self.manifest.split(self.split).shards
        numbers = np.unique(self.table.shard[self.plan(epoch)[batch]]).tolist()
        names = [shards[number].path for number in numbers]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return f"batch {batch} of epoch {epoch}, with samples of {', '.join(names[:4])}{more} in {self.root},"

    def engine(
        self,
        batches: "Sequence[np.ndarray] | EpochPlan",
        epoch: int,
        first: int = 0,
        *,
        numbers: Sequence[int] | None = None,
        threads: int,
        ahead: int = 0,
        timeout: float | None = None,
    ) -> Engine:
        """Makes batches from the numbers of their samples, from batch `first` on.

        Args:
            numbers: of the batches in their epoch; None: they are all of it.
        """
        hurry = "readers" not in self.__dict__  # nothing was opened yet

        def number(place: int) -> int:
            return place if numbers is None else numbers[place]

        def valid(place: int) -> np.ndarray:
            assert whole is not None
            return whole.valid(number(place))

        whole = self.plan(epoch) if self.pad else None
        return Engine(
            self.readers,
            batches,
            epoch,
            first,
            moment=lambda place: self.moment(epoch, number(place)),
            valid=valid if whole is not None else None,
            block_samples=self.block_samples(epoch),
            threads=threads,
            ahead=ahead,
            hurry=hurry,
            stats=self._stats,
            timeout=timeout,
            describe=lambda place: self.describe(epoch, number(place)),
            damaged=self.damaged,
            samples=len(self.table),
        )

    def stats(self) -> LoaderStats:
        """Where the time of this process's threads went, and what they decoded."""
        totals = self._stats.totals()
        readers = self.__dict__.get("readers")
        if readers is None:
            return totals
        pool = readers[0].pool
        return totals + LoaderStats(
            fetch_seconds=readers[0].fetch_seconds(),
            decode_seconds=pool.decode_seconds,
            decoded_chunks=pool.decoded_chunks,
            decoded_bytes=pool.decoded_bytes,
            read_bytes=readers[0].read_bytes(),
        )

    def _share(self) -> tuple[int, range, list[np.ndarray]]:
        """The epoch, the numbers of the batches that this process makes, and the samples of each."""
        worker = get_worker_info()
        if worker is not None and "readers" not in self.__dict__:
            # Batches go to the training process: made in shared memory, they are not copied once more.
            self.readers = self.open(Buffers(shared=True))
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch, plan = self.epoch, self.plan(self.epoch)
        numbers = range(self.first_batch + first, len(plan), stride)
        return epoch, numbers, [plan[batch] for batch in numbers]

    def __getstate__(self) -> dict[str, Any]:
        # Maps, pools, tables and locks are made anew in a worker process.
        made_anew = ("readers", "table", "_stats", "_process", "damaged")
        return {k: v for k, v in self.__dict__.items() if k not in made_anew} | {"skips": self.damaged is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        damaged = DamagedSamples(None) if state.pop("skips") else None
        self.__dict__.update(state, damaged=damaged, _stats=StatsInMaking(), _process=os.getpid())
