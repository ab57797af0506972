"""Processes and threads that die, hang, or are left alone: an error within seconds, and nothing left behind."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.faults import one_loader
from tests.faults.damage import write_dataset

SCRIPT = Path(one_loader.__file__)
SECONDS = 10  # in which an error comes and processes end
BOTH = [pytest.param("forkserver"), pytest.param("spawn", marks=pytest.mark.faults)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of a short name: a socket in it has a path of at most 107 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class Running:
    """The script as a process group of its own, with a temporary folder of its own."""

    def __init__(self, root: Path, temporary: Path, act: str = "stream", **options: Any) -> None:
        temporary.mkdir(exist_ok=True)
        self._log = open(temporary.parent / "log", "w+")  # noqa: SIM115, a pipe would live as long as any child
        self._begun = time.monotonic()
        ours, theirs = os.pipe()
        self._said = os.fdopen(ours)
        self.process = warm.Popen(
            [SCRIPT, root, json.dumps(options), act],
            stdout=theirs,
            stderr=self._log,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(SCRIPT.parents[2]),
            },
        )
        os.close(theirs)

    def says(self) -> dict[str, Any]:
        line = self._said.readline()
        assert line, self.errors()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def errors(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def end(self) -> int:
        """The exit status, of a process that ends by itself."""
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._said.close()
        self._log.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    started: list[Running] = []

    def start(root: Path, act: str = "stream", **options: Any) -> Running:
        started.append(Running(root, tmp_path / "tmp", act, **options))
        return started[-1]

    yield start
    for running in started:
        running.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("processes") / "d"
    write_dataset(root, codec="lz4")
    return root


def alive(pids: list[int]) -> list[int]:
    """Those that still run, after some seconds at most."""
    until = time.monotonic() + SECONDS
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def names_in_shared_memory(pid: int) -> list[str]:
    """Files of /dev/shm that a process maps or holds open, and that would stay if it were killed."""
    try:
        maps = [line.split(maxsplit=5)[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:  # a descriptor that was closed meanwhile
        return names_in_shared_memory(pid)
    return [name for name in maps + held if name.startswith("/dev/shm/") and "(deleted)" not in name]


@pytest.mark.parametrize("method", BOTH)
def test_a_worker_that_dies_is_an_error_that_says_how(root: Path, run: Any, method: str) -> None:
    running = run(root, num_workers=2, multiprocessing_context=method)
    workers = running.says()["workers"]
    assert len(workers) == 2
    killed = time.time()
    os.kill(workers[1], signal.SIGKILL)
    answer = running.says()
    print(f"\n{method}: a killed worker is reported after {answer['at'] - killed:.2f} s: {answer['error']}")
    assert answer["at"] - killed < 3
    assert str(workers[1]) in answer["error"]
    assert "SIGKILL" in answer["error"]
    assert "\n" not in answer["error"]
    assert running.end() == 0
    assert not alive(workers)


@pytest.mark.parametrize("method", BOTH)
def test_a_worker_that_does_not_answer_is_an_error(root: Path, run: Any, method: str) -> None:
    running = run(root, num_workers=2, multiprocessing_context=method, timeout=2)
    workers = running.says()["workers"]
    stopped = time.time()
    os.kill(workers[0], signal.SIGSTOP)
    answer = running.says()
    print(f"\n{method}: a stopped worker is reported after {answer['at'] - stopped:.2f} s: {answer['error']}")
    assert answer["at"] - stopped < 6
    assert "train/shard-" in answer["error"]
    assert str(workers[0]) in answer["error"]
    assert running.end() == 0
    assert not alive(workers)


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 1}], ids=str)
def test_a_read_that_never_returns_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, run: Any, options: dict[str, int]
) -> None:
    """Opening a stored object hangs for ever."""
    monkeypatch.setenv(one_loader.HANGS, "train/shard-000001.zarr/fields/u/c")
    begun = time.time()
    running = run(root, timeout=2, **options)
    while "error" not in (answer := running.says()):
        pass
    print(f"\n{options}: a hung read is reported {answer['at'] - begun:.1f} s after the start: {answer['error']}")
    assert "train/shard-000001.zarr" in answer["error"]
    assert "timeout=" in answer["error"]
    assert running.end() == 0  # nor does the interpreter wait for the thread


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize(
    "group", [pytest.param(False, id="process", marks=pytest.mark.faults), pytest.param(True, id="group")]
)
def test_nothing_is_left_by_kill_9(root: Path, tmp_path: Path, run: Any, method: str, group: bool) -> None:
    """What mosaic leaves: names in shared memory. And processes, and folders that the next start does not remove."""
    running = run(root, num_workers=2, multiprocessing_context=method)
    told = running.says()
    pids = [*told["workers"], *([told["server"]] if told["server"] else [])]
    assert len(pids) == (3 if method == "forkserver" else 2)
    names = [name for pid in (running.process.pid, *pids) for name in names_in_shared_memory(pid)]
    (os.killpg if group else os.kill)(running.process.pid, signal.SIGKILL)
    killed = time.monotonic()
    left = alive(pids)
    print(f"\n{method}: {len(pids)} processes are gone {time.monotonic() - killed:.2f} s after the kill")
    assert not left
    folder = list((tmp_path / "tmp").iterdir())
    assert not names
    assert not folder or group  # the workers remove it, unless they are killed too
    following = run(root, num_workers=1, multiprocessing_context=method)
    following.says()
    assert not set(folder) & set((tmp_path / "tmp").iterdir())
    os.kill(following.process.pid, signal.SIGTERM)
    assert following.end() == -signal.SIGTERM


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 2}], ids=str)
def test_nothing_outlives_an_abandoned_loader(root: Path, run: Any, options: dict[str, int]) -> None:
    running = run(root, "leave", **options)
    told = running.says()
    assert len(told["workers"]) == options.get("num_workers", 0)
    assert not told["left"]
    assert not told["threads"]
    assert running.end() == 0
    assert not alive(told["workers"])


@pytest.mark.parametrize(
    "options",
    [{"threads": 2}, *(pytest.param(o, marks=pytest.mark.faults) for o in ({"threads": 0}, {"num_workers": 1}))],
    ids=str,
)
def test_a_fork_in_mid_epoch_is_noticed(root: Path, run: Any, options: dict[str, int]) -> None:
    """What hangs for ever on anything that has used zarrs, and on any thread: here the child is told, the parent goes
    on."""
    running = run(root, "fork", **options)
    assert "forked" in running.says()["error"]
    assert running.says()["went_on"] > 0
    assert running.end() == 0


def test_a_workers_error_is_one_line(root: Path, tmp_path: Path, run: Any) -> None:
    shutil.copytree(root, tmp_path / "d")
    shutil.rmtree(tmp_path / "d/train/shard-000001.zarr")
    running = run(tmp_path / "d", num_workers=2)
    while "error" not in (answer := running.says()):
        pass
    assert "train/shard-000001.zarr" in answer["error"]
    assert "\n" not in answer["error"]
    assert "Traceback" not in running.errors()
    assert running.end() == 0
