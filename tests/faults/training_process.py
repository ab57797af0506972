"""`tools/train.py` as a process that can be killed at a chosen moment."""

import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests import warm
from ups_data.training.runs.metrics import METRICS

ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds after which a process that should have moved on hangs


class TrainingProcess:
    """A run of the small model, 14 steps an epoch, in a process group of its own.

    Args:
        ratio: of the points, or auto.
        data: keys of that section.
    """

    def __init__(self, root: Path, out: Path, epochs: int, *, ratio: float | str = 0.3, **data: Any) -> None:
        self.metrics = out / METRICS
        settings = {
            "data.root": root,
            "data.batch_size": 2,
            "data.threads": 1,
            "model.dim": 16,
            "model.tokens": 4,
            "model.depth": 1,
            "training.device": "cpu",
            "training.epochs": epochs,
            "training.checkpoint_every": 3,
            "training.query_sample_ratio": ratio,
            "out": out,
            **{f"data.{name}": value for name, value in data.items()},
        }
        command = [ROOT / "tools" / "train.py", ROOT / "configs" / "train_diffusion_reaction.yaml"]
        self._output = TemporaryFile("w+")  # noqa: SIM115, as long as the process
        self.process = warm.Popen(
            [*command, *(f"{key}={value}" for key, value in settings.items())],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=self._output,
            stderr=self._output,
        )

    def lines(self) -> int:
        return self.metrics.read_bytes().count(b"\n") if self.metrics.exists() else 0

    def wait_for_lines(self, count: int) -> None:
        """Until the log has grown by that many lines since the process began, or the process has ended."""
        until = time.monotonic() + LIMIT
        least = self.lines()
        while self.process.poll() is None and (now := self.lines()) < least + count:
            least = min(least, now)  # it is cut back to the last checkpoint first
            assert time.monotonic() < until, "the run does not move on"
            time.sleep(0.001)

    def kill(self, number: int = signal.SIGKILL, *, group: bool = False) -> int:
        """Send the signal; returns the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number) if group else self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """The exit status; a hang is an error."""
        status = self.process.wait(LIMIT)
        self._output.seek(0)
        self.output = self._output.read()
        return status
