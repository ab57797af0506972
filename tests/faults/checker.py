"""A process that opens, streams and verifies datasets, each in a child of its own, and reports how that ended.

Reads lines of JSON, `{"root": …, "act": …}`, and answers each with one: `{"ended": …}`, which is `reported` (an
`UpsDataError`, `says` has its line), `done` (`digest` of what came out), `error` (any other exception), `signal N`,
or `hang`. A child is forked, so that a case costs no imports; this process has no threads and opens nothing itself.
"""

import hashlib
import json
import logging
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from tests import warm
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.batch import QueryBatch
from ups_data.schema import Manifest
from ups_data.store.verify import verify_dataset

LIMIT = 20  # seconds


def stream(root: str, between: Any = None, **options: Any) -> str:
    """A digest of the manifest and of an epoch's batches; `between` is called after the first."""
    digest = hashlib.sha256(Manifest.load(root).model_dump_json().encode())
    options = {"batch_size": 4, "sampling": QuerySampling(ratio=0.5), "prefetch": 1, **options}
    loader = QueryLoader(root, split="train", threads=0 if between else 2, **options)
    for number, batch in enumerate(loader):
        if number == 0 and between is not None:
            between()
        batch.for_each_tensor(lambda tensor: digest.update(tensor.contiguous().numpy().tobytes()))
    return digest.hexdigest()


def stream_all(root: str, verify: Any = "first") -> str:
    """A digest of all values of an epoch, with threads."""
    options: dict[str, Any] = {"batch_size": 1, "sampling": QuerySampling(), "horizon": 0, "pool_bytes": 1}
    digest = hashlib.sha256()
    for batch in QueryLoader(root, split="train", threads=2, verify=verify, **options):
        batch.for_each_tensor(lambda tensor: digest.update(tensor.contiguous().numpy().tobytes()))
    return digest.hexdigest()


def stream_never(root: str) -> str:
    """The same where no chunk is compared with its checksum."""
    return stream_all(root, "never")


def crafted_while_open(root: str) -> str:
    """Headers of blosc chunks that claim far more than is there are written over those of the open objects."""

    def craft() -> None:
        for path in Path(root).glob("train/*/fields/*/c/*/*/*/*"):
            with open(path, "r+b") as file:
                file.seek(12)
                file.write((0x7000_0000).to_bytes(4, "little") + (0x6FFF_FFF0).to_bytes(4, "little"))

    return stream(root, craft, batch_size=1, pool_bytes=1, shuffle=False)


def verify(root: str) -> str:
    damage = verify_dataset(root, threads=1)
    if damage:
        raise UpsDataError("; ".join(f"{d.shard}: {d.reason}" for d in damage))
    return "intact"


def cut_while_open(root: str) -> str:
    """Every object of every field loses its second half while the loader is at it."""

    def cut() -> None:
        for path in Path(root).glob("train/*/fields/*/c/*/*/*/*"):
            os.truncate(path, path.stat().st_size // 2)

    return stream(root, cut)


def emptied_while_open(root: str) -> str:
    def empty() -> None:
        for path in Path(root).glob("train/*/fields/*/c/*/*/*/*"):
            os.truncate(path, 0)

    return stream(root, empty)


def overwritten_while_open(root: str) -> str:
    """Other bytes of the same number, in the same files."""

    def overwrite() -> None:
        for path in Path(root).glob("train/*/fields/*/c/*/*/*/*"):
            with open(path, "r+b") as file:
                file.write(bytes(path.stat().st_size))

    return stream(root, overwrite)


def replaced_while_open(root: str) -> str:
    """The same bytes in new files, as another copy of the dataset has them."""

    def replace() -> None:
        for path in Path(root).glob("train/*/fields/*/c/*/*/*/*"):
            aside = path.with_name("aside")
            aside.write_bytes(path.read_bytes())
            aside.rename(path)

    return stream(root, replace)


WHILE_OPEN = (cut_while_open, emptied_while_open, overwritten_while_open, replaced_while_open)


def skip(root: str) -> str:
    """What an epoch serves where damage is skipped, as JSON: digest of each sample, and how many were left out.

    The same by threads of one rank and by two ranks: batch by batch, the same samples.
    """
    alone, left_out, lines = _skipped(root, 1, 0, threads=2)
    parts = [_skipped(root, 2, rank, threads=0) for rank in range(2)]
    together = [{**a, **b} for a, b in zip(parts[0][0], parts[1][0], strict=True)]
    assert together == alone, "two ranks serve other batches"
    assert parts[0][1] + parts[1][1] == left_out, "two ranks leave out others"
    return json.dumps({"samples": {k: v for batch in alone for k, v in batch.items()}, "left": left_out, "says": lines})


def _skipped(root: str, ranks: int, rank: int, threads: int) -> tuple[list[dict[str, str]], int, list[str]]:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("ups_data").addHandler(handler)
    logging.getLogger("ups_data").propagate = False
    loader = QueryLoader(
        root,
        split="train",
        batch_size=4 // ranks,
        **drawing(root),
        drop_last=False,
        threads=threads,
        rank=rank,
        world_size=ranks,
        on_damage="skip",
        max_damaged=30,
    )
    batches = [sample_digests(batch) for batch in loader]
    assert len(batches) == len(loader)
    logging.getLogger("ups_data").removeHandler(handler)
    return batches, loader.stats.damaged_samples, lines


def drawing(root: str | Path) -> dict[str, Any]:
    """Half of the points, of the input too where the dataset has blocks: what is not drawn is not read."""
    half = QuerySampling(ratio=0.5)
    blocks = QuerySampling(ratio=0.5, mode="blocks")
    return {"sampling": half} if Manifest.load(root).blocks == 1 else {"sampling": blocks, "inputs": blocks}


def sample_digests(batch: QueryBatch) -> dict[str, str]:
    """Trajectory and step → digest, of the samples that are not left out; those have no weight."""
    served = {}
    for row in range(len(batch)):
        if batch.valid is None or batch.valid[row]:
            digest = hashlib.sha256()
            batch.part(row, row + 1).for_each_tensor(lambda t, d=digest: d.update(t.contiguous().numpy().tobytes()))
            served[f"{int(batch.trajectory[row])}-{int(batch.step[row])}"] = digest.hexdigest()
        else:
            assert not batch.target_queries.weight[row].any()
    return served


ACTS = {f.__name__: f for f in (stream, stream_all, stream_never, crafted_while_open, verify, skip, *WHILE_OPEN)}


def child(act: str, root: str, pipe: int) -> None:
    try:
        answer = {"ended": "done", "digest": ACTS[act](root)}
    except UpsDataError as error:
        answer = {"ended": "reported", "says": str(error)}
    except BaseException as error:
        answer = {"ended": "error", "says": f"{type(error).__name__}: {error}"}
    os.write(pipe, json.dumps(answer).encode())
    os._exit(0)


def run(act: str, root: str) -> dict[str, Any]:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        child(act, root, theirs)
    os.close(theirs)
    answered = bool(select.select([ours], [], [], LIMIT)[0])
    if not answered:
        os.kill(pid, signal.SIGKILL)
    with open(ours, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answered:
        return {"ended": "hang"}
    return json.loads(answer) if answer else {"ended": f"signal {os.WTERMSIG(status)}"}


class Checker:
    """The process, from the outside."""

    def __init__(self) -> None:
        (given, ask), (answers, told) = os.pipe(), os.pipe()
        self._process = warm.Popen(["-m", __name__], stdin=given, stdout=told, stderr=2, cwd=warm.ROOT)
        os.close(given)
        os.close(told)
        self._ask, self._answers = os.fdopen(ask, "w"), os.fdopen(answers)

    def __call__(self, act: str, root: Path) -> dict[str, Any]:
        print(json.dumps({"act": act, "root": str(root)}), file=self._ask, flush=True)
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def close(self) -> None:
        self._ask.close()
        self._process.wait()
        self._answers.close()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
