"""The log of a run, a sink: one line of JSON per step and per validation."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ups_data.atomic import open_log
from ups_data.errors import UpsDataError

METRICS = "metrics.jsonl"  # its name in a run's folder
TIMES = ("seconds", "machine", "pictures")  # what differs from run to run, or is no number


class MetricsFile:
    """Lines that are neither lost nor doubled when a run is killed and continued.

    A checkpoint keeps the length that `sync` returned; the run that continues from it cuts the file there and writes
    the steps since then again. Nothing that differs from run to run (times of day, durations) is in a line.

    Args:
        keep: bytes to keep, 0 for a new run; what comes after them is there until `begin`.

    Raises:
        UpsDataError: the file holds less than that.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._file = open_log(path)  # the folder may have been handed over with a link here
        size = os.fstat(self._file.fileno()).st_size
        if size < keep:
            self._file.close()
            raise UpsDataError(
                f"{path}: has {size} bytes, the checkpoint beside it was made at {keep}: put the file back, or start "
                "over with training.resume=false"
            )
        self._keep = keep

    def begin(self) -> None:
        """Cut the file: called once the run is sure to go on, so that one that is refused loses nothing of another."""
        self._file.truncate(self._keep)
        self._file.seek(self._keep)

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """As a sink: append a line for a step, a validation or a choice of points, without its times; others can read
        it at once."""
        if not {"loss", "valid_nrmse", "points"} & values.keys():
            return
        values = {name: value for name, value in values.items() if name not in TIMES}
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Bring the lines to the disk; returns the file's length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
