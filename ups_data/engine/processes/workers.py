"""Worker processes, from the training process's side: started, asked for batches, watched and ended."""

import multiprocessing
import pickle
import signal
import socket
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

from ups_data.batch import QueryBatch
from ups_data.engine.processes import worker as child
from ups_data.engine.processes.leftovers import claim_temporary_folder
from ups_data.engine.processes.maker import BatchMaker
from ups_data.engine.processes.wire import Channel, Receiver
from ups_data.engine.stats import LoaderStats
from ups_data.errors import UpsDataError

TICK = 0.5  # seconds; time that this process does not run, as when it is suspended, counts as one tick at most
END_SECONDS = 5.0
START_SECONDS = 120.0  # a worker may take to start, which imports much; beyond the time that a batch may take


class _Share(NamedTuple):
    """Batches first to end - 1 of an epoch."""

    epoch: int
    first: int
    end: int


class Workers:
    """N processes, worker w of which makes batches w, w + N, … of a pass. They live as long as this object.

    Args:
        prefetch: batches that each has made ahead.
        start_method: `forkserver` or `spawn`.
        timeout: seconds that a batch may take; None: no limit.
        describe: a batch of an epoch, for errors.
        heard: is called with each damaged sample that a worker found, and what is wrong with it.
    """

    def __init__(
        self,
        source: BatchMaker,
        count: int,
        *,
        prefetch: int,
        start_method: str,
        timeout: float | None,
        describe: Callable[[int, int], str],
        heard: Callable[[int, str], None],
    ) -> None:
        self._heard = heard
        self._prefetch, self._timeout, self._describe = prefetch, timeout, describe
        self._number = 0  # of the pass that the workers are at
        self._early: tuple[_Share, set[int]] | None = None  # the next pass, and the workers that have begun it
        self.stats: dict[int, LoaderStats] = {}  # what each worker has told last
        context: Any = multiprocessing.get_context(start_method)
        if start_method == "forkserver":
            # The server imports torch once, its children then start in no time.
            context.set_forkserver_preload(["__main__", child.__name__])
        temporary = str(claim_temporary_folder())
        processes: list[BaseProcess] = []
        channels: list[Channel] = []
        # Before anything else that `multiprocessing` does as this process ends; and when nobody uses this any more.
        self.close = Finalize(self, _end, (processes, channels), exitpriority=100)
        self._processes, self._channels = processes, channels
        for number in range(count):
            ours, theirs = socket.socketpair()
            channels.append(Channel(ours))
            process = context.Process(
                target=child.main,
                args=(source, number, count, theirs, temporary),
                name=f"ups_data worker {number}",
                daemon=True,
            )
            with theirs:
                process.start()
            processes.append(process)
        self._receivers = [Receiver(channel) for channel in channels]

    def batches(
        self, epoch: int, first: int, end: int, following: Callable[[], tuple[int, int] | None] = lambda: None
    ) -> Iterator[QueryBatch]:
        """Batches first to end - 1 of an epoch.

        Two passes may be under way: one that goes on after another was served begins again where it stood.

        Args:
            following: epoch and first batch of the pass that is going to come next, asked for when a worker has made
                its last batch of this one; None: not known, or not to be begun before this one has ended.

        Raises:
            UpsDataError: what a worker met; a worker has ended, or a batch has taken too long, and then all workers are
                ended.
        """
        share, count = _Share(epoch, first, end), len(self._processes)
        number = self._begin(share)
        for batch in range(first, end):
            if number != self._number:
                share = _Share(epoch, batch, end)
                number = self._begin(share)
            worker = (batch - share.first) % count
            made = self._next(worker, epoch, batch)
            if batch + self._prefetch * count < end:
                self._ask(worker, number, share, 1)
            elif batch + count >= end:
                self._begin_early(worker, end, following)
            yield made
            del made

    def _begin(self, share: "_Share") -> int:
        """Ask all workers for the first batches of a pass, but those that have begun it already; its number."""
        early, self._early = self._early, None
        begun = early[1] if early is not None and early[0] == share else set()
        self._number += 1
        if early is not None and early[0] != share:
            self._number += 1  # what they have made of it is dropped
        for worker in range(len(self._processes)):
            if worker not in begun:
                self._ask(worker, self._number, share, self._first_batches(share, worker))
        return self._number

    def _begin_early(self, worker: int, end: int, following: Callable[[], tuple[int, int] | None]) -> None:
        """Ask a worker that has made its last batch of a pass for its first ones of the next."""
        if self._early is None:
            place = following()
            if place is None:
                return
            self._early = _Share(*place, end), set()
        share, begun = self._early
        begun.add(worker)
        self._ask(worker, self._number + 1, share, self._first_batches(share, worker))

    def _first_batches(self, share: "_Share", worker: int) -> int:
        return min(self._prefetch, len(range(share.first + worker, share.end, len(self._processes))))

    def _ask(self, worker: int, number: int, share: "_Share", count: int) -> None:
        request = child.Request(number, share.epoch, share.first, count, self._receivers[worker].freed())
        try:
            self._channels[worker].send(pickle.dumps(request))
        except OSError:
            self._fail(worker)

    def _next(self, worker: int, epoch: int, batch: int) -> QueryBatch:
        waited = 0.0
        while True:
            try:
                answer = self._receivers[worker].receive(0)
            except EOFError:
                self._fail(worker)
            if answer is not None:
                (number, made, stats, error, news), answer = answer[0], None
                self.stats[worker] = stats
                for damaged in news:
                    self._heard(*damaged)
                if error is not None and number == self._number:
                    kind, text = error
                    raise kind(text) if kind is not None else RuntimeError(f"worker process {worker}: {text}")
                if number == self._number:
                    return made
                made, waited = None, 0.0  # of a pass that was left early; or the worker has begun
                continue
            starting = 0.0 if worker in self.stats else START_SECONDS
            if self._timeout is not None and waited >= self._timeout + starting:
                self._fail(worker, self._describe(epoch, batch))
            sentinels = {process.sentinel: number for number, process in enumerate(self._processes)}
            ready = wait([self._channels[worker].fileno(), *sentinels], TICK)
            waited += 0 if ready else TICK
            for ended in sentinels.keys() & set(ready):
                self._fail(sentinels[ended])

    def _fail(self, worker: int, late: str | None = None) -> None:
        """End all workers, as one has ended or is late."""
        process = self._processes[worker]
        called = f"worker process {worker} of {len(self._processes)} (pid {process.pid})"
        if late is None:
            process.join(END_SECONDS)
            text = f"{called} {_ending(process.exitcode)}"
        else:
            text = (
                f"{called} has not made {late} in {self._timeout:g} s: see whether the storage answers, or give a "
                "longer timeout="
            )
        self.close()
        raise UpsDataError(text)


def _ending(status: int | None) -> str:
    """How a process ended, and what to do."""
    if status is None:
        return "has closed its socket: start the run again from its last checkpoint"
    if status == -signal.SIGKILL:
        return (
            "was killed by SIGKILL, which most often means that memory ran out (see the kernel's log): give fewer "
            "num_workers or less pool_bytes, and start again from the last checkpoint"
        )
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}: start again from the last checkpoint"
    return (
        f"ended with status {status}, for a reason that it has printed if it could: a script that starts workers needs "
        'if __name__ == "__main__": around what it does'
    )


def _end(processes: list[BaseProcess], channels: list[Channel]) -> None:
    for channel in channels:
        channel.close()
    for process in processes:
        if process.is_alive():
            process.kill()  # they hold nothing that needs care, and one that reads may not listen
    for process in processes:
        process.join(END_SECONDS)
