"""What a run's folder holds, read as if a stranger had written it."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ups_data.atomic import open_regular
from ups_data.errors import UpsDataError
from ups_data.schema.texts.json_text import parse_json
from ups_data.training.runs.folder import HISTORY
from ups_data.training.runs.metrics import METRICS

MOST_BYTES = 256 << 20  # of a file
MOST_PICTURES, MOST_PICTURE_BYTES = 24, 4 << 20
COPIES = ("wandb", "tensorboard")  # folders of sinks, which got the same pictures
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Recorded:
    """A run, as far as it is written down.

    Attributes:
        history: the content of `history.json`.
        steps, validations: the lines of `metrics.jsonl`.
        pictures: path within the folder → PNG.
    """

    out: Path
    history: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """An entry for each epoch."""
        entries = self.history.get("epochs")
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

    def config(self, *keys: str) -> Any:
        """A value of the configuration; None if it has none."""
        found: Any = self.history.get("config")
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def read_run(out: Path) -> Recorded:
    """Everything that a report shows.

    Raises:
        UpsDataError: no run there that has finished an epoch, or files that are not a run's.
    """
    path = out / HISTORY
    if not path.exists():
        raise UpsDataError(f"{out}: no {HISTORY} here, which a run writes after its first epoch: give a run's folder")
    try:
        history = parse_json(_content(path))
    except ValueError:
        history = None
    if not isinstance(history, dict):
        raise UpsDataError(f"{path}: not a run's history: train again, or give another folder")
    run = Recorded(out, history, pictures=dict(_pictures(out)))
    for line in _content(out / METRICS).splitlines() if (out / METRICS).exists() else []:
        try:
            values = parse_json(line)
        except ValueError:  # the last line of a run that is under way
            continue
        if isinstance(values, dict) and "loss" in values:
            run.steps.append(values)
        elif isinstance(values, dict) and "valid_nrmse" in values:
            run.validations.append(values)
    return run


def number(value: Any) -> float | None:
    """A finite number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be read ({error.strerror}): give a run's folder") from None
    if len(content) > MOST_BYTES:
        raise UpsDataError(f"{path}: more than {MOST_BYTES >> 20} MiB, which is no run's: give another folder")
    return content


def _pictures(out: Path) -> Iterator[tuple[str, bytes]]:
    """The PNG files in the run's folder and below, none of them behind a link; of a series, the latest."""
    latest: dict[str, Path] = {}
    for path in sorted(out.rglob("*.png")):
        if path.relative_to(out).parts[0] in COPIES:
            continue
        if not any(part.is_symlink() for part in (path, *path.parents) if part != out and out in part.parents):
            latest[re.sub(r"\d+(?=\.png$)", "", str(path.relative_to(out)))] = path
    for path in list(latest.values())[:MOST_PICTURES]:
        try:
            with open_regular(path) as file:
                content = file.read(MOST_PICTURE_BYTES + 1)
        except OSError:
            continue
        if content.startswith(PNG) and len(content) <= MOST_PICTURE_BYTES:
            yield str(path.relative_to(out)), content
