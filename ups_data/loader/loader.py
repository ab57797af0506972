"""`QueryLoader`: batches of the pipeline, from threads in this process or from worker processes."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import torch

from ups_data.batch import QueryBatch, Sample, query_collate
from ups_data.batch.records import Errors
from ups_data.engine.blocks import Pass
from ups_data.engine.engine import Engine
from ups_data.engine.processes.workers import Workers
from ups_data.engine.stats import LoaderStats
from ups_data.loader.device import DeviceLoader
from ups_data.loader.feedback.feedback import Feedback
from ups_data.loader.mixture import QueryMixture, mix
from ups_data.loader.options import LoaderOptions, Sampling, collected, takes_options
from ups_data.loader.position import Position
from ups_data.loader.state import VERSION, check_state, differences, identity
from ups_data.loader.webdataset import QueryDataset
from ups_data.reading.damage import DamagedSamples
from ups_data.schema import Manifest
from ups_data.store.root import Root


@takes_options(LoaderOptions, loader_only=True)
class QueryLoader:
    """Iterates over the batches of an epoch. Each pass is the next epoch, whoever drives the loop.

        loader = QueryLoader("data/run", split="train", batch_size=16, sampling=0.1)
        for batch in loader:
            ...

    A pass moves the loader on to the next epoch just before it hands out its last batch. If a pass is left early, the
    next pass is the next epoch too, and a warning says so once; `state_dict` taken in between still continues where the
    pass was left. `set_epoch` makes the next pass that of any epoch. Several passes may run side by side.

    Threads of this process make the batches (`num_workers=0`); with `num_workers=N`, N worker processes do, for
    pipelines with heavy user code. Both hand out the same batches in the same order. While the last batches of an epoch
    are taken, the first ones of the next epoch are begun.

    A pickled loader is made anew where it is unpickled, at the same place: each process that `torch.multiprocessing`
    spawns has a rank of its own.

    Args:
        root: the dataset's folder or URL, or an `ObjectStore` that it lies in.
        options: a record of options, which keyword arguments win over.

    Raises:
        UpsDataError: there is no dataset there, a split or a field is unknown, there are more queries than points, the
            horizon is longer than every trajectory, or there are too few samples for one batch.
    """

    def __init__(self, root: Root, options: LoaderOptions | None = None, **given: Any) -> None:
        self.options = collected(LoaderOptions, options, given, caller="QueryLoader")
        self.dataset = QueryDataset(root, self.options)
        self._source = self.dataset.source
        skips = self.options.on_damage == "skip"
        self._source.damaged = damaged = DamagedSamples(self.options.max_damaged) if skips else None
        self._heard = (lambda sample, line: None) if damaged is None else damaged.add
        self._engine = Engine(
            threads=0 if self.options.num_workers else self.options.num_threads,
            ahead=self.options.prefetch - 1,
            timeout=self.options.timeout,
        )
        self._workers: Workers | None = None
        self._handed_out = LoaderStats()
        self._of_workers = LoaderStats()  # of worker processes that have ended
        self._feedback = Feedback(self._source)
        # Without an order of its own, an epoch is none to miss.
        self._position = Position(warns=self.options.shuffles)
        self._identities: dict[int, dict[str, Any]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (self._source.root, self.options, self._position.progress, self._feedback.state_dict())

    def __repr__(self) -> str:
        source = self._source
        return (
            f"QueryLoader({str(source.root)!r}, split={self.options.split!r}, {len(source.table)} samples, "
            f"{len(self)} batches of {self.options.batch_size} on rank {source.ranks.rank} of "
            f"{source.ranks.world_size}, epoch {self.epoch})"
        )

    @property
    def manifest(self) -> Manifest:
        """Of the dataset."""
        return self._source.manifest

    @property
    def sampling(self) -> Sampling:
        """Which points are queried, by sets of points where there are several."""
        return self.options.sampling

    @property
    def batch_size(self) -> int:
        """Samples of a batch, on this rank."""
        return self.options.batch_size

    @property
    def drop_last(self) -> bool:
        """Whether the samples that do not fill a global batch are left out."""
        return self.options.drops_last

    @property
    def collate_fn(self) -> Callable[[Sequence[Sample]], QueryBatch]:
        """What makes a batch of the samples of `dataset`, as for a `DataLoader` of them."""
        return query_collate

    @property
    def prefetch_factor(self) -> None:
        """None, as for a `DataLoader` without worker processes: what copies a loader's settings asks for it."""
        return None

    @property
    def seed(self) -> int:
        """Of the order and of the points."""
        return self.options.seed

    @property
    def ranks(self) -> tuple[int, int]:
        """The rank of this process, and the number of ranks."""
        return self._source.ranks.rank, self._source.ranks.world_size

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the next pass."""
        return self._position.epoch

    @property
    def stats(self) -> LoaderStats:
        """Totals since the loader was made, over all its threads and worker processes."""
        of_workers = [] if self._workers is None else list(self._workers.stats.values())
        return sum(of_workers, self._handed_out + self._of_workers + self._source.stats())

    def __len__(self) -> int:
        """Batches of an epoch, the same on every rank."""
        return self._source.num_batches

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch, from its first batch."""
        self.seek(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the batches that follow are those that `load_state_dict` continues with.

        Plain data, the same on every rank, for any number of them; O(1) in the epoch's length. With the metric `error`
        on several ranks of `torch.distributed`, all ranks must call this together, as they do where an epoch begins:
        what they were told since then is added up.
        """
        return {**self.place(), "feedback": self._feedback.state_dict()}

    def place(self) -> dict[str, Any]:
        """The state without what was fed back: small, for every batch."""
        epoch, batch = self._position.progress
        return {"version": VERSION, "epoch": epoch, "batch": batch, "plan": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next batch is made as the first one of an epoch is, whatever comes
        before it.

        Number of ranks (with as many samples in a global batch), worker processes, threads and memory may be others.

        Raises:
            UpsDataError: the state is of another dataset or plan; the message says what differs.
        """
        place = check_state(state, differences(state.get("plan", {}), self._identity()), len(self))
        self._feedback.load_state_dict(state.get("feedback", {}))
        self.seek(*place)

    def seek(self, epoch: int, batch: int) -> None:
        """Make the next pass begin with this batch of an epoch."""
        self._position.seek(epoch, batch)
        self.dataset.set_epoch(epoch)

    def end_threads(self) -> None:
        """End the threads, with what they have made for the next pass, which starts new ones."""
        self._engine.close()

    def feedback(self, batch: QueryBatch, errors: Errors) -> None:
        """Tell how large the model's errors were, for the importance metric `error`; nothing happens without it.

        Errors are averaged over tiles and epochs, and over ranks where an epoch begins, which every rank must do
        together. The points drawn change with every `importance_window` epochs, and not between.

        Args:
            batch: as it was handed out, on any device.
            errors: one number for each target query, `(B, Q)` or `(B, K, Q)`, on any device; set of points → errors
                where a batch has several. Only their ratios matter, and not their signs.

        Raises:
            UpsDataError: errors of another shape than the queries.
        """
        self._feedback.add(batch, errors)

    def feedback_state(self) -> dict[str, Any]:
        """What was fed back, as `state_dict` has it."""
        return self._feedback.state_dict()

    def load_feedback_state(self, state: Mapping[str, Any]) -> None:
        """Continue with what was fed back when `feedback_state` was taken."""
        self._feedback.load_state_dict(state)

    @staticmethod
    def mix(
        loaders: "Sequence[QueryLoader]",
        *,
        weights: Sequence[float],
        seed: int | None = None,
        epoch_batches: int | None = None,
    ) -> QueryMixture:
        """Batches of several loaders, each of one of them, mixed by weight: `ups_data.mix`, which says more."""
        return mix(loaders, weights=weights, seed=seed, epoch_batches=epoch_batches)

    def to(self, device: torch.device | str) -> "QueryLoader | DeviceLoader":
        """This loader with batches that arrive on `device`, copied ahead; itself where that is the CPU."""
        device = torch.device(device)
        return self if device.type == "cpu" else DeviceLoader(self, device)

    def __iter__(self) -> Iterator[QueryBatch]:
        self._source.check_process()
        self._source.ranks.settle()
        end = len(self)
        with self._position.begun(end) as (epoch, first):
            self._feedback.begin(epoch)
            made_by = self._from_workers if self.options.num_workers else self._from_threads
            batches = made_by(epoch, first, end)
            try:
                for number in range(first, end):
                    self._source.check_process()
                    begun = time.perf_counter()
                    batch = next(batches)
                    self._handed_out.wait_seconds += time.perf_counter() - begun
                    self._handed_out.batches += 1
                    self._handed_out.samples += batch.num_valid
                    self._position.hand_out(epoch, number, end)
                    yield batch
            finally:
                batches.close()

    def _identity(self) -> dict[str, Any]:
        ranks = self._source.ranks.world_size
        if ranks not in self._identities:
            self._identities[ranks] = identity(self._source)
        return self._identities[ranks]

    def _from_threads(self, epoch: int, first: int, end: int) -> Generator[QueryBatch]:
        yield from self._engine.batches(self._source.begun(epoch, first), self._following)

    def _following(self, ahead: int) -> Pass | None:
        place = self._following_place()
        return None if place is None else self._source.begun(place[0] + ahead, 0 if ahead else place[1])

    def _following_place(self) -> tuple[int, int] | None:
        """Of the pass that is going to come next; None if its points depend on what this one feeds back."""
        return None if self._source.drawing.feeds_back else self._position.next

    def _from_workers(self, epoch: int, first: int, end: int) -> Generator[QueryBatch]:
        if self._workers is None:
            self._workers = Workers(
                self._source,
                self.options.num_workers,
                prefetch=self.options.prefetch,
                start_method=self.options.multiprocessing_context,
                timeout=self.options.timeout,
                describe=self._source.describe,
                heard=self._heard,
            )
        workers = self._workers
        try:
            yield from workers.batches(epoch, first, end, self._following_place)
        except Exception:
            # The next pass starts new ones.
            if self._workers is workers:
                self._workers = None
                workers.close()
                self._of_workers = sum(workers.stats.values(), self._of_workers)
            raise


def _made_again(root: Root, options: LoaderOptions, place: tuple[int, int], feedback: Mapping[str, Any]) -> QueryLoader:
    """A loader that was pickled."""
    loader = QueryLoader(root, options)
    loader.seek(*place)
    loader.load_feedback_state(feedback)
    return loader
