"""The tasks of a conversion on a Dask cluster. They only write aside: this process publishes."""

import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ups_data.conversion.cluster.address import quiet, scheduler_at
from ups_data.conversion.cluster.delivery import Delivery
from ups_data.conversion.cluster.task import ClusterJob, make_shard
from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.shard_plan import PlannedShard
from ups_data.conversion.shard_task import Job, Made
from ups_data.conversion.workers import check_formats, signals_deferred
from ups_data.errors import UpsDataError

# Tasks that the scheduler knows of at once: enough to keep a large cluster busy, and a bound to its memory.
WINDOW = 1000
# Seconds: between two looks at what has ended, and at the scheduler; for a scheduler to answer at first.
LOOK, CHECK, FIRST = 0.02, 2.0, 20.0
LOST = (OSError, TimeoutError)


def make_on_cluster(
    address: str,
    job: Job,
    shards: Sequence[PlannedShard],
    identity: Identity,
    delivery: Delivery,
    received: Callable[[PlannedShard, str], None],
    progress: Callable[[PlannedShard, int], None],
    timeout: float,
) -> Generator[tuple[PlannedShard, Made], None, None]:
    """The shards as they are made, in any order.

    A worker that is lost is Dask's to replace: its tasks run elsewhere. If the scheduler is lost, its tasks are given
    anew to the one that answers at that address.

    Args:
        address: of a scheduler, or `local:N`.
        received: called with a shard and the name of its delivery before it is yielded.
        timeout: seconds for which the cluster may have no scheduler or no worker, or a task may do nothing.

    Raises:
        UpsDataError: as `ShardMaker.make`; or there is no cluster, a worker lacks the source or the dataset's place, or
            a shard ends every worker that writes it.
    """
    check_formats(job)
    topic = f"ups_data-{uuid.uuid4().hex}"
    packed = pickle.dumps(ClusterJob(job, Path.cwd(), identity.writer, identity.digest, delivery, topic, timeout))
    with quiet(), scheduler_at(address) as scheduler:
        tasks = Tasks(scheduler, make_shard, packed, topic, timeout)
        try:
            for shard, (made, name) in tasks.run(shards, progress):
                received(shard, name)
                yield shard, made
        finally:
            with signals_deferred():
                tasks.close()


class _Lost(Exception):
    """The scheduler does not answer, or is another one than before."""


class Tasks:
    """Tasks that are given to a scheduler, and taken when they have ended.

    Args:
        function: (shard, packed) → ("made", anything) or ("failed", an error).
        topic: of what tasks tell while they run.
        timeout: see `make_on_cluster`.
    """

    def __init__(self, address: str, function: Any, packed: bytes, topic: str, timeout: float) -> None:
        self._address, self._function, self._packed = address, function, packed
        self._topic, self._timeout = topic, timeout
        self._client: Any = None
        self._scheduler = ""  # its identity
        self._running: dict[str, tuple[PlannedShard, Any]] = {}  # key → shard, future
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()  # futures
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._looked = self._alone_since = 0.0

    def run(
        self, shards: Sequence[PlannedShard], progress: Callable[[PlannedShard, int], None]
    ) -> Iterator[tuple[PlannedShard, Any]]:
        """What tasks made, as they end.

        Raises:
            UpsDataError: see `make_on_cluster`; or what a task raised.
        """
        waiting = deque(shards)
        of_path = {shard.path: shard for shard in shards}
        self._connect(min(FIRST, self._timeout))
        while waiting or self._running:
            try:
                self._give(waiting)
                self._check()
                yield from self._take()
            except _Lost:
                waiting.extendleft(reversed([shard for shard, _ in self._running.values()]))
                self.close()
                self._connect(self._timeout)
            for told in self._all_told():
                if "silent" in told:
                    raise UpsDataError(
                        f"{told['silent']}: the worker that writes it has done nothing for {self._timeout:g} s: a read "
                        "does not return; run the same command again, with a longer --timeout if the source is slow"
                    )
                progress(of_path[told["shard"]], told["done"])

    def close(self) -> None:
        """Forget what was given, and the scheduler."""
        self._running.clear()
        self._ended = queue.SimpleQueue()
        if self._client is not None:
            client, self._client = self._client, None
            with suppress(*LOST):
                client.close(timeout=5)

    def _connect(self, limit: float) -> None:
        from distributed import Client

        end = time.monotonic() + limit
        while True:
            try:
                left = max(1.0, min(10.0, end - time.monotonic()))
                self._client = Client(self._address, timeout=left, set_as_default=False, name="ups-data-convert")
                self._scheduler = self._identity()["id"]
                break
            except (*LOST, _Lost) as error:
                self.close()
                if time.monotonic() > end:
                    raise UpsDataError(
                        f"{self._address}: no Dask scheduler answers there ({_first_line(error)}): start one with "
                        "`dask scheduler`, and run the same command again; it goes on from what is finished"
                    ) from None
                time.sleep(LOOK)
            except Exception as error:  # an address that cannot be read, a certificate that is missing
                self.close()
                raise UpsDataError(f"{self._address}: cannot be used ({_first_line(error)})") from None
        self._client.subscribe_topic(self._topic, lambda event: self._told.put(event[1]))
        self._looked = self._alone_since = time.monotonic()

    def _identity(self) -> dict[str, Any]:
        try:
            found = self._client.sync(self._client.scheduler.identity, callback_timeout=min(60.0, self._timeout))
        except LOST as error:
            raise _Lost(str(error)) from None
        return dict(found)

    def _check(self) -> None:
        """Every now and then whether the scheduler is the same as before, and has workers."""
        if self._client.status != "running":
            raise _Lost
        now = time.monotonic()
        if now - self._looked < CHECK:
            return
        self._looked = now
        found = self._identity()
        if found["id"] != self._scheduler:
            raise _Lost
        if found["workers"]:
            self._alone_since = now
        elif now - self._alone_since > self._timeout:
            raise UpsDataError(
                f"{self._address}: the Dask cluster has had no worker for {self._timeout:g} s: start some with "
                f"`dask worker {self._address} --nthreads 1`, and run the same command again"
            )

    def _give(self, waiting: deque[PlannedShard]) -> None:
        """So many that the window is full, once there is room for a part of it: each time costs the scheduler."""
        room = WINDOW - len(self._running)
        if not waiting or room < WINDOW // 4:
            return
        shards = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        # One name for all of them: the scheduler keeps statistics by name.
        keys = [f"ups-data-convert-{uuid.uuid4().hex}" for _ in shards]
        self._running.update({key: (shard, None) for key, shard in zip(keys, shards, strict=True)})
        try:
            futures = self._client.map(self._function, shards, key=keys, pure=False, packed=self._packed)
        except LOST as error:
            raise _Lost(str(error)) from None
        for key, shard, future in zip(keys, shards, futures, strict=True):
            self._running[key] = shard, future
            future.add_done_callback(self._ended.put)

    def _take(self) -> Iterator[tuple[PlannedShard, Any]]:
        """What has ended; waits for a moment if nothing has."""
        ended = []
        with suppress(queue.Empty):
            ended.append(self._ended.get(timeout=LOOK))
            while True:
                ended.append(self._ended.get_nowait())
        for future in ended:
            if future.status == "error":
                raise self._failure(*self._running[future.key])
            if future.status != "finished":  # cancelled: by the loss of the scheduler, or from outside
                raise _Lost
        if not ended:
            return
        try:
            # A result is lost with its worker; its task then runs again, elsewhere.
            gathering = partial(self._client.gather, ended, asynchronous=True)
            results = self._client.sync(gathering, callback_timeout=self._timeout)
        except (*LOST, CancelledError) as error:
            raise _Lost(str(error)) from None
        for future, (kind, what) in zip(ended, results, strict=True):
            if kind == "failed":
                raise what
            shard, _ = self._running.pop(future.key)
            future.release()
            yield shard, what

    def _failure(self, shard: PlannedShard, future: Any) -> UpsDataError:
        error = future.exception(timeout=self._timeout)
        if type(error).__name__ == "KilledWorker":
            return UpsDataError(
                f"{shard.path}: every worker that wrote it ended, the last one at {error.last_worker.address}: for "
                "want of memory, or a file of the source ends the library that reads it; look at the workers' logs, "
                "and run the same command again"
            )
        return UpsDataError(
            f"{shard.path}: a Dask worker cannot write it ({_first_line(error)}): install the same ups_data on every "
            "worker"
        )

    def _all_told(self) -> Iterator[dict[str, Any]]:
        with suppress(queue.Empty):
            while True:
                yield self._told.get_nowait()


def _first_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
