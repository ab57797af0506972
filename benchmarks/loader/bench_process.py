"""A measured system in a process of its own, told by a pipe when to run: rounds alternate, memory is its own."""

import importlib
import multiprocessing
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.02
STOP_SECONDS = 10

MODULES = {
    "limit": ("benchmarks.loader.bench_limit", "Limit"),
    "cloud limit": ("benchmarks.loader.bench_limit", "CloudLimit"),
    "ups_data": ("benchmarks.loader.bench_ours", "ThisLoader"),
    "in blocks": ("benchmarks.loader.bench_ours", "ThisLoaderInBlocks"),
    "memmap": ("benchmarks.loader.bench_peers", "Memmap"),
    "webdataset": ("benchmarks.loader.bench_peers", "WebDatasetTar"),
    "zarr": ("benchmarks.loader.bench_peers", "ZarrFrameAtATime"),
    "zarr chunks": ("benchmarks.loader.bench_peers", "ZarrChunks"),
}


class Measured:
    """The parent's side. The process imports its system at once; `wait_ready` says when it has."""

    def __init__(self, system: str, *arguments: Any) -> None:
        self.system = system
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *MODULES[system], arguments), name=system)
        self._process.start()
        theirs.close()

    def wait_ready(self) -> None:
        self._answer()
        self.memory_before, _ = memory(self._process.pid)

    def start(self) -> dict[str, Any]:
        """Open the system, time its first batch, finish the epoch as a warm-up."""
        return self._ask("start")

    def run(self, seconds: float) -> dict[str, Any]:
        """Whole epochs for at least that long: samples, seconds, epochs, and what the system counted meanwhile."""
        return self._ask("run", seconds)

    def run_watched(self, seconds: float) -> tuple[int, int]:
        """The same with an eye on its memory instead of the clock: peaks of the two figures of `memory`, bytes."""
        self._pipe.send(("run", seconds))
        peaks = memory(self._process.pid)
        while not self._pipe.poll(POLL_SECONDS):
            peaks = tuple(map(max, peaks, memory(self._process.pid)))
        self._answer()
        return peaks

    def close(self) -> None:
        self._pipe.close()  # the process ends when the pipe does
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, *message: Any) -> dict[str, Any]:
        self._pipe.send(message)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.system}: its process died") from None
        if "error" in answer:
            raise RuntimeError(f"{self.system}:\n{answer['error']}")
        return answer


def serve(pipe: Connection, module: str, name: str, arguments: tuple[Any, ...]) -> None:
    """The measured process: answers until the pipe is closed."""
    # This process was spawned and would spawn in turn; what it measures starts its workers as it does anywhere else.
    multiprocessing.set_start_method(None, force=True)
    try:
        make = getattr(importlib.import_module(module), name)
        if module != "benchmarks.loader.bench_limit":
            import torch

            torch.set_num_threads(1)  # threads are each system's own choice
        pipe.send({})
        system = None
        while True:
            command, *options = pipe.recv()
            if command == "start":
                begun = time.perf_counter()
                system = make(*arguments)
                pipe.send(_first_epoch(system, begun))
            else:
                pipe.send(_epochs(system, *options))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception:
        pipe.send({"error": traceback.format_exc()})


def _first_epoch(system: Any, begun: float) -> dict[str, Any]:
    batches = iter(system.batches())
    first = next(batches)
    answer = {
        "first_batch_seconds": time.perf_counter() - begun,
        "bytes_used": _batch_bytes(first) / _samples(first),
        "bytes_read": system.bytes_read(),
    }
    if hasattr(system, "stored"):
        answer["stored_chunks"], answer["stored_bytes"] = system.stored()
        answer["pool_bytes"], answer["fresh_loader_per_epoch"] = system.pool_bytes, system.fresh_loader_per_epoch
    del first
    for _ in batches:
        pass
    return answer


def _epochs(system: Any, least_seconds: float) -> dict[str, Any]:
    counters = getattr(system, "counters", dict)
    before, spent, samples, epochs = counters(), 0.0, 0, 0
    while spent < least_seconds:
        if hasattr(system, "prepare"):
            system.prepare()
        begun = time.perf_counter()
        for batch in system.batches():
            samples += _samples(batch)
        spent += time.perf_counter() - begun
        epochs += 1
    counted = {name: value - before[name] for name, value in counters().items()}
    return {"samples": samples, "seconds": spent, "epochs": epochs, "counted": counted}


def _samples(batch: Any) -> int:
    return len(batch["x"]) if isinstance(batch, dict) else len(batch)


def _batch_bytes(batch: Any) -> int:
    """Bytes of a batch's arrays; of a `QueryBatch`, every storage once."""
    if isinstance(batch, dict):
        return sum(getattr(value, "nbytes", 0) for value in batch.values())  # webdataset adds the samples' names
    return batch.nbytes()


def memory(root: int) -> tuple[int, int]:
    """Memory in bytes of a process and its descendants, from /proc (Linux 5.4 and later): (its own, resident).

    Its own is what nobody else could give back: anonymous and shared memory, pages that several processes share
    counted once. Resident is the sum of their RSS, pages of mapped files and shared ones counted per process.
    """
    own = resident = 0
    for pid in _tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:  # it has ended
            continue
        sizes = {name: int(kib.split()[0]) * 1024 for name, kib in (line.split(":") for line in lines)}
        own += sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)  # a process that is ending has no sizes
        resident += sizes.get("Rss", 0)
    return own, resident


def _tree(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found
