"""`SampleSource`: plans an epoch of a split, and reads it."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ups_data.batch import QueryBatch, Sample
from ups_data.engine.ahead import Ahead
from ups_data.engine.blocks import Pass
from ups_data.engine.buffers import Buffers
from ups_data.engine.engine import Engine
from ups_data.engine.ranks import Ranks
from ups_data.engine.stats import LoaderStats, StatsInMaking
from ups_data.errors import UpsDataError
from ups_data.loader.drawing import Drawing
from ups_data.loader.feedback.averages import zero_table
from ups_data.loader.options import LoaderOptions
from ups_data.loader.options.opening import asked_of, opened_root
from ups_data.loader.passes import Passes
from ups_data.loader.selection import check_grid, recipe_of, select
from ups_data.plan import EpochPlan, SomeBatches, Table, batch_bounds, plan_epoch, repeated, sample_table
from ups_data.points.tiles import num_tiles
from ups_data.reading.damage import DamagedSamples
from ups_data.reading.pool import Pool
from ups_data.reading.reader import SampleReader
from ups_data.reading.window.window import Window
from ups_data.schema import Manifest
from ups_data.store.claims import check_claims
from ups_data.store.openings.store import opened_split
from ups_data.store.remote.fetcher import limit_requests
from ups_data.store.root import Root, open_store, open_to_stream
from ups_data.store.shard import Shard

PLANS = 4  # of epochs that are kept: those under way, and short ones that are begun early


class SampleSource:
    """The batches and samples of one split, epoch by epoch. Copies of a pipeline share it; a worker process gets it
    pickled.

    Attributes:
        root: the dataset's folder, or the `ObjectStore` that it lies in.
        options: of the loader or the pipeline that it serves.
        manifest: of the dataset.
        selections: what is read and drawn, one for each set of points.
        drawing: how many points a sample draws, and when.
        ranks: this process among the ranks of the run.
        passes: which epoch comes next, where a pipeline is iterated over.
        damaged: where damaged samples are noted and left out; None: they are errors.
        errors: set of points → errors of its tiles, for draws that look at them; worker processes map them too.

    Raises:
        UpsDataError: see `QueryDataset`.
    """

    def __init__(self, root: Root, options: LoaderOptions) -> None:
        self.root, self.options = opened_root(root, options, options.timeout), options
        self.manifest = Manifest.load(self.root)
        check_claims(open_store(self.root), self.manifest, self.manifest.split(options.split).shards)
        check_grid(self.manifest, options)
        self.selections = select(self.manifest, options)
        self.drawing = Drawing(self.manifest, self.selections, options)
        self.ranks, self.passes = Ranks(options.rank, options.world_size), Passes()
        self._bounds: dict[int, np.ndarray] = {}
        _ = self.bounds  # refuses too few samples
        self.damaged: DamagedSamples | None = None
        trajectories = self.manifest.split(options.split).num_trajectories
        self.errors = {
            s.set_name: zero_table(1 if s.feeds_back.importance_shared else trajectories, num_tiles(s.largest))
            for s in self.selections
            if s.feeds_back is not None
        }
        self._anew()

    def _anew(self) -> None:
        """What every process has of its own, beside readers."""
        self._stats, self._process = StatsInMaking(), os.getpid()
        self.ahead: Ahead | None = None  # known when readers are opened
        self._planned: dict[tuple[int, int, int], EpochPlan] = {}  # the last few

    def __getstate__(self) -> dict[str, Any]:
        # Maps, pools, tables and locks are made anew in a worker process.
        made_anew = ("readers", "ahead", "table", "damaged", "_stats", "_process", "_planned")
        return {k: v for k, v in self.__dict__.items() if k not in made_anew} | {"skips": self.damaged is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        damaged = DamagedSamples(None) if state.pop("skips") else None
        self.__dict__.update(state, damaged=damaged)
        self._anew()

    @property
    def num_batches(self) -> int:
        """Of an epoch, on every rank."""
        return len(self.bounds) - 1

    @property
    def bounds(self) -> np.ndarray:
        """Where each global batch begins in an epoch's order: see `plan.batch_bounds`."""
        world_size = self.ranks.world_size
        if world_size not in self._bounds:
            self._bounds[world_size] = batch_bounds(
                len(self.table),
                batch_size=self.options.batch_size,
                world_size=world_size,
                drop_last=self.options.drops_last,
                pad=self.options.pad,
                canonical_ranks=self.options.canonical_ranks,
            )
        return self._bounds[world_size]

    @cached_property
    def table(self) -> Table:
        """Every sample of the split."""
        table = sample_table(
            self.manifest,
            self.options.split,
            list(dict.fromkeys(name for s in self.selections for name in (*s.input_fields, *s.target_fields))),
            input_steps=self.options.input_steps,
            horizon=self.options.horizon,
            dt_stride=self.options.dt_stride,
        )
        return table if self.options.repeats == 1 else repeated(table, self.options.repeats)

    @cached_property
    def readers(self) -> list[SampleReader]:
        """One for each selection."""
        return self.open(Buffers(pinned=torch.cuda.is_available()))

    def open(self, memory: Buffers, processes: int = 1) -> list[SampleReader]:
        """Readers whose batches take their memory from `memory`.

        Args:
            processes: that share what may be in flight, and be fetched ahead.
        """
        return self._readers_of(memory, *self._opened(processes))

    def beside(self, options: LoaderOptions) -> "SampleSource":
        """What other options give of the same split, from the same maps and the same pool, in this process."""
        other, mine = SampleSource(self.root, options), self.readers[0]
        other.readers = other._readers_of(Buffers(pinned=torch.cuda.is_available()), mine.pool, mine.shards)
        return other

    def _opened(self, processes: int) -> tuple[Pool, list[Shard]]:
        options, specs = self.options, self.manifest.split(self.options.split).shards
        limit_requests(max(1, options.in_flight // processes))
        pool = Pool(options.pool_bytes, fits=self.decoded_bytes <= options.pool_bytes)
        cache, size, local_io = options.cache, options.cache_bytes, options.local_io
        store = open_to_stream(self.root, cache=cache, cache_bytes=size, local_io=local_io)
        store = opened_split(store, options.split, specs)
        if store.reads_ahead and options.prefetch_bytes:
            store = window = Window(store)
            self.ahead = Ahead(window, pool, options.prefetch_bytes // processes)
        return pool, [Shard(store, self.manifest, spec, options.verify) for spec in specs]

    def _readers_of(self, memory: Buffers, pool: Pool, shards: Sequence[Shard]) -> list[SampleReader]:
        options = self.options
        return [
            SampleReader(
                self.manifest,
                shards,
                self.table,
                recipe_of(self.manifest, selection, options, memory),
                pool,
                input_fields=selection.input_fields,
                target_fields=selection.target_fields,
                input_steps=options.input_steps,
                horizon=options.horizon,
                dt_stride=options.dt_stride,
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
        rows = sum(shard.rows for shard in self.manifest.split(self.options.split).shards)
        return rows * sum(self.manifest.frame_bytes(self.manifest.field(name)) for name in names)

    def plan(self, epoch: int) -> EpochPlan:
        """This rank's batches of one epoch.

        Raises:
            UpsDataError: in a process that was forked from the one that opened the dataset.
        """
        self.check_process()
        key = epoch, self.ranks.rank, self.ranks.world_size
        if key not in self._planned:
            made = plan_epoch(
                self.table,
                seed=self.options.seed,
                epoch=epoch,
                batch_size=self.options.batch_size,
                rank=self.ranks.rank,
                world_size=self.ranks.world_size,
                shuffle=self.options.shuffles,
                drop_last=self.options.drops_last,
                pad=self.options.pad,
                canonical_ranks=self.options.canonical_ranks,
            )
            kept = list(self._planned.items())[1 - PLANS :]
            self._planned = dict([*kept, (key, made)])
            return made
        return self._planned[key]

    def check_process(self) -> None:
        """Refuse to go on in a process that was forked from the one that opened the dataset."""
        if os.getpid() != self._process:
            raise UpsDataError(
                "this dataset was opened before the process forked, and its threads and maps do not survive that: "
                "start workers with multiprocessing_context='forkserver' (or 'spawn'), or open it in the worker"
            )

    def samples(self) -> Iterator[Sample]:
        """Samples of the next epoch, or of this worker process's share of its batches."""
        if len(self.selections) > 1:
            raise UpsDataError("a pipeline's samples are of one set of points: take QueryLoader for several")
        self.check_process()
        self.ranks.settle()
        worker = get_worker_info()
        if worker is not None and "readers" not in self.__dict__:
            # Batches go to the training process: made in shared memory, they are not copied once more.
            self.readers = self.open(Buffers(shared=True), worker.num_workers)
        epoch = self.passes.begin()
        plan, first, stride = self.plan(epoch), *((0, 1) if worker is None else (worker.id, worker.num_workers))
        for number in range(first, len(plan), stride):
            self.check_process()
            block = self.readers[0].block(plan[number], epoch, self.drawing.moment(epoch, number, len(plan)))
            block.valid = plan.valid(number) if self.options.pad else None
            yield from block.samples()

    def batches(self, epoch: int, first: int, stride: int) -> Iterator[QueryBatch]:
        """Batches first, first + stride, … of an epoch: what a worker process of a loader makes."""
        if "readers" not in self.__dict__:
            self.readers = self.open(Buffers(), stride)
        numbers = range(first, len(self.plan(epoch)), stride)
        return Engine(threads=0, ahead=0, timeout=None).batches(self.begun(epoch, 0, numbers))

    def begun(self, epoch: int, first: int, numbers: Sequence[int] | None = None) -> Pass:
        """A pass over an epoch, from its batch `first` on.

        Args:
            numbers: of the epoch's batches that the pass has; None: all.
        """
        plan = self.plan(epoch)
        hurry = "readers" not in self.__dict__  # nothing was opened yet
        readers = self.readers

        def number(place: int) -> int:
            return place if numbers is None else numbers[place]

        return Pass(
            readers=readers,
            plan=plan if numbers is None else SomeBatches(plan, numbers),
            epoch=epoch,
            first=first,
            moment=lambda place: self.drawing.moment(epoch, number(place), len(plan)),
            valid=(lambda place: plan.valid(number(place))) if self.options.pad else None,
            block_samples=self.drawing.block_samples(epoch),
            hurry=hurry,
            stats=self._stats,
            describe=lambda place: self.describe(epoch, number(place)),
            damaged=self.damaged,
            samples=len(self.table),
            ahead=self.ahead,
        )

    def describe(self, epoch: int, batch: int) -> str:
        """A batch of this rank, and where its samples lie: for errors."""
        shards = self.manifest.split(self.options.split).shards
        numbers = np.unique(self.table.at(self.plan(epoch)[batch]).shard).tolist()
        names = [shards[number].path for number in numbers]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return f"batch {batch} of epoch {epoch}, with samples of {', '.join(names[:4])}{more} in {self.root},"

    def stats(self) -> LoaderStats:
        """Where the time of this process's threads went, and what they decoded."""
        totals = self._stats.totals() + asked_of(self.root)
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
            cache_hits=readers[0].store.counts().cache_hits,
        )
