"""`QueryLoader`: batches of the pipeline, from threads in this process or from worker processes."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ups_data.batch import QueryBatch
from ups_data.engine.stats import LoaderStats
from ups_data.engine.workers import Workers
from ups_data.errors import UpsDataError
from ups_data.loader.device import DeviceLoader
from ups_data.loader.feedback import Feedback
from ups_data.loader.mixture import QueryMixture
from ups_data.loader.selection import Ragged, Sampling
from ups_data.loader.state import VERSION, check_state, differences, identity
from ups_data.loader.webdataset import DEFAULT_POOL_BYTES, QueryDataset
from ups_data.plan import CANONICAL_RANKS
from ups_data.reading.damage import DamagedSamples
from ups_data.schema import Manifest
from ups_data.store.arrays.stored import Verify
from ups_data.store.root import Root

# Half of the time after which NCCL gives up on a rank that waits for its data: the error that says why comes first.
DEFAULT_TIMEOUT = 300.0


class QueryLoader:
    """Iterates over the batches of an epoch; each complete pass moves on to the next epoch.

    Threads of this process assemble the batches (`num_workers=0`); with `num_workers=N`, N worker processes do, for
    pipelines with heavy user code. Both yield the same batches in the same order.

    Args:
        threads: of this process, None: as many as cores, at most 4; 0: assemble in the calling thread.
        num_workers: worker processes.
        multiprocessing_context: how they start, `forkserver` or `spawn` (so a script needs
            `if __name__ == "__main__":`); never `fork`.
        on_damage: "raise": a sample whose stored bytes are damaged or missing is an `UpsDataError`. "skip": another
            sample fills its place with weight 0, and `QueryBatch.valid` tells; it is logged and counted. The number of
            batches, their size and all other samples stay what they are, on every rank alike. A sample is damaged if
            anything is that it needs to be made: of what is read block by block, the blocks that are drawn. A damaged
            manifest is an error always.
        max_damaged: how many different samples may be found so, on this rank; one more is an error. A damaged chunk
            takes the samples of all its frames along.
        timeout: seconds that a batch may be waited for, 300 by default; None: for ever. A read that does not return, or
            a worker process that does not answer, is an `UpsDataError` then. With `threads=0` nobody notices.
        prefetch: what a thread (blocks of a few batches) or a worker process (batches) has made ahead, at least 1.

    The other arguments are `QueryDataset`'s.
    """

    def __init__(
        self,
        root: Root,
        *,
        split: str,
        batch_size: int,
        sampling: Sampling,
        inputs: Sampling | None = None,
        input_fields: Sequence[str] | None = None,
        target_fields: Sequence[str] | None = None,
        input_steps: int = 1,
        horizon: int = 1,
        dt_stride: int = 1,
        shuffle: bool | None = None,
        drop_last: bool | None = None,
        seed: int = 0,
        num_workers: int = 0,
        threads: int | None = None,
        pool_bytes: int = DEFAULT_POOL_BYTES,
        rank: int | None = None,
        world_size: int | None = None,
        input_queries: bool = True,
        lattice_queries: bool = False,
        input_stride: int = 1,
        ragged: Ragged = "sample",
        repeats: int = 1,
        verify: Verify = "first",
        pad: bool = False,
        canonical_ranks: int = CANONICAL_RANKS,
        prefetch: int = 2,
        multiprocessing_context: str = "forkserver",
        timeout: float | None = DEFAULT_TIMEOUT,
        on_damage: Literal["raise", "skip"] = "raise",
        max_damaged: int = 64,
    ) -> None:
        if multiprocessing_context not in ("forkserver", "spawn"):
            raise UpsDataError(
                f"multiprocessing_context {multiprocessing_context!r}: give 'forkserver' or 'spawn'; threads, and "
                "zarrs' own, do not survive a fork, and a forked worker would wait for them for ever"
            )
        if num_workers < 0 or (threads is not None and threads < 0) or prefetch < 1:
            raise UpsDataError(f"num_workers={num_workers}, threads={threads}, prefetch={prefetch}: too small")
        if timeout is not None and not timeout > 0:
            raise UpsDataError(f"timeout={timeout}: give seconds, or None for no limit")
        if on_damage not in ("raise", "skip") or max_damaged < 0:
            raise UpsDataError(
                f"on_damage={on_damage!r}, max_damaged={max_damaged}: give 'raise' or 'skip', and a number of samples"
            )
        self.dataset = QueryDataset(
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
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
            pool_bytes=pool_bytes,
            rank=rank,
            world_size=world_size,
            input_queries=input_queries,
            lattice_queries=lattice_queries,
            input_stride=input_stride,
            ragged=ragged,
            repeats=repeats,
            verify=verify,
            pad=pad,
            canonical_ranks=canonical_ranks,
        )
        self._source = self.dataset.source
        self._source.damaged = damaged = DamagedSamples(max_damaged) if on_damage == "skip" else None
        self._heard = (lambda sample, line: None) if damaged is None else damaged.add
        self._threads = min(4, os.cpu_count() or 1) if threads is None else threads
        self._num_workers, self._prefetch, self._start_method = num_workers, prefetch, multiprocessing_context
        self._timeout = timeout
        self._workers: Workers | None = None
        self._handed_out = LoaderStats()
        self._of_workers = LoaderStats()  # of worker processes that have ended
        self._feedback = Feedback(self._source)
        self._progress = (0, 0)  # (epoch, batch) after the last batch that was handed out

    @property
    def manifest(self) -> Manifest:
        return self._source.manifest

    @property
    def sampling(self) -> Sampling:
        return self._source.sampling

    @property
    def epoch(self) -> int:
        """The epoch of the next pass, or of the one under way."""
        return self._source.epoch

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
        self._seek(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the batches that follow are those that `load_state_dict` continues with.

        Plain data, the same on every rank, for any number of them; O(1) in the epoch's length. With the metric `error`
        on several ranks of `torch.distributed`, all ranks must call this together, as they do where an epoch begins:
        what they were told since then is added up.
        """
        return {**self.place(), "feedback": self._feedback.state_dict()}

    def place(self) -> dict[str, Any]:
        """The state but for what was fed back: small, for every batch."""
        epoch, batch = self._progress
        return {"version": VERSION, "epoch": epoch, "batch": batch, "plan": self._identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next batch is made as the first one of an epoch is, whatever comes
        before it.

        Number of ranks (with as many samples in a global batch), worker processes, threads and memory may be others.

        Raises:
            UpsDataError: the state is of another dataset or plan; the message says what differs.
        """
        place = check_state(state, differences(state.get("plan", {}), self._identity), len(self))
        self._feedback.load_state_dict(state.get("feedback", {}))
        self._seek(*place)

    def _seek(self, epoch: int, batch: int) -> None:
        self._progress = epoch, batch
        self._source.set_epoch(epoch, batch)

    def feedback(self, batch: QueryBatch, errors: Tensor | Mapping[str, Tensor]) -> None:
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

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return identity(self._source)

    @staticmethod
    def mix(
        loaders: "Sequence[QueryLoader]",
        *,
        weights: Sequence[float],
        seed: int | None = None,
        epoch_batches: int | None = None,
    ) -> QueryMixture:
        """Batches of several loaders, each of one of them, mixed by weight.

            mixture = QueryLoader.mix([QueryLoader("data/2d", …), QueryLoader("data/3d", …)], weights=[3, 1])

        Args:
            loaders: of any datasets and samplings; `QueryBatch.source` is the number of the one a batch comes from.
            weights: share of the batches that each gets, up to a common factor.
            seed: of the mixture, None: the first loader's.
            epoch_batches: batches of an epoch of the mixture; None: until the first of the loaders is through once.

        Raises:
            UpsDataError: weights that do not fit, loaders of different ranks, bound to a device, or given twice.
        """
        return QueryMixture(loaders, weights=weights, seed=seed, epoch_batches=epoch_batches)

    def to(self, device: torch.device | str) -> "QueryLoader | DeviceLoader":
        """This loader with batches that arrive on `device`, copied ahead; itself where that is the CPU."""
        device = torch.device(device)
        return self if device.type == "cpu" else DeviceLoader(self, device)

    def __iter__(self) -> Iterator[QueryBatch]:
        epoch, first = start = self._source.epoch, self._source.first_batch
        self._feedback.begin(epoch)
        plan = self._source.plan(epoch)
        if self._num_workers:
            batches = self._from_workers(epoch, first, len(plan))
        else:
            engine = self._source.engine(
                plan, epoch, first, threads=self._threads, ahead=self._prefetch - 1, timeout=self._timeout
            )
            batches = iter(engine)
        after = epoch, 0  # a pass that is left early starts over
        try:
            for number in range(first, len(plan)):
                self._source.check_process()
                begun = time.perf_counter()
                batch = next(batches)
                self._handed_out.wait_seconds += time.perf_counter() - begun
                self._handed_out.batches += 1
                self._handed_out.samples += batch.num_valid
                self._progress = (epoch, number + 1) if number + 1 < len(plan) else (epoch + 1, 0)
                yield batch
            after = epoch + 1, 0
        finally:
            if (self._source.epoch, self._source.first_batch) == start:  # nobody called set_epoch meanwhile
                self._source.set_epoch(*after)

    def _from_workers(self, epoch: int, first: int, end: int) -> Iterator[QueryBatch]:
        if self._workers is None:
            self._workers = Workers(
                self._source,
                self._num_workers,
                prefetch=self._prefetch,
                start_method=self._start_method,
                timeout=self._timeout,
                describe=self._source.describe,
                heard=self._heard,
            )
        try:
            yield from self._workers.batches(epoch, first, end)
        except Exception:
            # The next pass starts new ones.
            workers, self._workers = self._workers, None
            workers.close()
            self._of_workers = sum(workers.stats.values(), self._of_workers)
            raise
