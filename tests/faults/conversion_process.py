"""`tools/make_shards.py` as a process that can be killed at a chosen moment, and sources for it."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

import numpy as np

from tests import warm

TOOL = Path(__file__).parents[2] / "tools" / "make_shards.py"
# Seconds of waiting after which a process that should have moved on hangs. They are counted, not read from the clock:
# a machine that is held up, and this process with it, is no hang.
LIMIT = 120
RUN = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
LOOK = 0.004  # seconds between two looks


def grid_source(folder: Path, trajectories: int = 24) -> list[str]:
    """A file of trajectories on 64 × 64, 384 KiB each; returns the arguments of a conversion in blocks."""
    folder.mkdir()
    u = np.random.default_rng(0).standard_normal((trajectories, 12, 64, 64, 2)).astype(np.float32)
    np.save(folder / "u.npy", u)
    return [str(folder / "u.npy"), "--blocks", "16", "--codec", "lz4", "--importance", "gradient,variance"]


def cloud_source(folder: Path, trajectories: int = 24) -> list[str]:
    """A file for each cloud, of different numbers of points; returns the arguments of its conversion."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(trajectories):
        n = 8000 + 500 * (i % 5)
        arrays = {"coords": rng.random((n, 3)), "p": rng.random((n, 12)).astype(np.float32)}
        np.savez(folder / f"case_{i:02d}.npz", **{k: v.astype(np.float32) for k, v in arrays.items()})
    return [str(folder), "--blocks", "8"]


class ConversionProcess:
    """A conversion in a process group of its own; shards of 1 MiB.

    Args:
        first: code that its process runs first.
    """

    def __init__(self, arguments: list[str], out: Path, *more: str, first: str = "") -> None:
        self.out = out
        self._output, self._errors = TemporaryFile("w+"), TemporaryFile("w+")  # noqa: SIM115, as long as the process
        program = ["-c", f"{first}\n{RUN}", TOOL] if first else [TOOL]
        self.process = warm.Popen(
            ["-X", "faulthandler", *program, *arguments, "--out", out, "--shard-mb", 1, *more],
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            stdout=self._output,
            stderr=self._errors,
        )

    def published(self) -> dict[str, int]:
        """Recorded shards, with the inode of their folder, which a shard that is made again changes."""
        found = {}
        for record in (self.out / ".conversion").glob("*-[0-9]*.json"):
            split, _, name = record.stem.partition("-")
            shard = self.out / split / f"{name}.zarr"
            if shard.exists():
                found[f"{split}/{shard.name}"] = shard.stat().st_ino
        return found

    def wait_for_shards(self, more: int) -> None:
        """Until so many more are recorded than now, or the process has ended."""
        enough = len(self.published()) + more
        self.wait_until(lambda: len(self.published()) >= enough)

    def wait_for_work(self) -> None:
        """Until it writes its first shard, or the process has ended."""
        asides = self.out / ".conversion" / "writing" / str(self.process.pid)
        self.wait_until(asides.exists)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Until that is so, or the process has ended."""
        for _ in range(int(LIMIT / LOOK)):
            if self.process.poll() is not None or reached():
                return
            time.sleep(LOOK)
        self._hangs()

    def signal(self, number: int, *, group: bool = False) -> int:
        """Send it; returns the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number) if group else os.kill(self.process.pid, number)
        return self.end()

    def signal_at_work(self, number: int, shards: int) -> int | None:
        """Send it to the group while there is work left of a conversion of so many shards; returns the exit status.

        The group stands still while this looks, so that the end cannot come first. None: it had come.
        """
        self.wait_for_shards(1)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGSTOP)
        self.wait_until(self._stands_still)
        at_work = self.process.poll() is None and len(self.published()) < shards - 1
        with suppress(ProcessLookupError):
            if at_work:
                os.killpg(self.process.pid, number)
            os.killpg(self.process.pid, signal.SIGCONT)
        status = self.end()
        return status if at_work else None

    def _stands_still(self) -> bool:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def kill(self) -> int:
        return self.signal(signal.SIGKILL)

    def end(self) -> int:
        """The exit status; a hang is an error."""
        for _ in range(LIMIT):
            with suppress(subprocess.TimeoutExpired):
                status = self.process.wait(1)
                self.output, self.errors = (file.seek(0) or file.read() for file in (self._output, self._errors))
                return status
        self._hangs()

    def _hangs(self) -> NoReturn:
        """End it, with the stacks of every thread."""
        os.killpg(self.process.pid, signal.SIGABRT)
        self.process.wait()
        self._errors.seek(0)
        raise AssertionError(f"the conversion does not move on: {self._errors.read()}")

    def members(self) -> list[int]:
        """Processes of its group that are alive."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found


def digests(root: Path) -> dict[str, str]:
    """Every file below a folder, with the digest of its content."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
