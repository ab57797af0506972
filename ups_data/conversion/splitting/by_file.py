"""Splits by a file that names the runs of each."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from ups_data.atomic import open_regular
from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.cutting.parts import Part, frames_of
from ups_data.conversion.splitting.naming import names_of
from ups_data.errors import UpsDataError
from ups_data.schema import check_split_name, limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.schema.texts.yaml_text import parse_yaml
from ups_data.schema.trajectories import parse_window
from ups_data.trajectory import Trajectory

MOST_IN_YAML = 200_000  # values; more in JSON, which is parsed a hundred times as fast
FORM = 'split → list of {"source": file, "key": run}, or of keys'


@dataclass(frozen=True)
class Entry:
    """A run, or a window of one, that a file names. `source`: None: any file's run of that key."""

    split: str
    source: str | None
    key: str

    def __str__(self) -> str:
        return self.key if self.source is None else f"{self.key} of {self.source}"


class ByFile(SplitRule):
    """The runs that a file names, as `manifest.trajectory` and `ups-data inspect --splits-file` do.

        ByFile("splits.json", "raw")  # {"train": [{"source": "run_0.npz", "key": "0000"}, …], "valid": […]}

    A key such as `0000[0:40]` is a window of frames of the run `0000`. Runs that are not named are left out.

    Args:
        path: of a JSON, YAML or CSV file (`split,source,key`); sources relative to the converted folder, or as given.
        root: what is converted.

    Raises:
        UpsDataError: the file cannot be read, or names a run twice.
    """

    overrides = True
    option = "--splits"

    def __init__(self, path: str | Path, root: str | Path) -> None:
        self.path, self.root = Path(path), Path(root)
        self.entries = tuple(_entries(self.path, _read(self.path)))
        self._runs: dict[int, int] = {}  # entry → number of its run
        self._by_name: dict[tuple[str | None, str], list[int]] = {}
        seen: dict[tuple[str | None, str], str] = {}
        for number, entry in enumerate(self.entries):
            name = entry.source, entry.key
            if name in seen:
                raise UpsDataError(
                    f"{self.path}: names the run {entry} twice, in {seen[name]!r} and {entry.split!r}: name it once"
                )
            seen[name] = entry.split
            self._by_name.setdefault(name, []).append(number)
            if (window := parse_window(entry.key)) is not None:
                self._by_name.setdefault((entry.source, window[0]), []).append(number)

    @property
    def names(self) -> list[str]:
        """See `SplitRule.names`."""
        return list(dict.fromkeys(entry.split for entry in self.entries))

    def identity(self) -> dict[str, Any]:
        """See `SplitRule.identity`."""
        return {"by": "file", "entries": [[e.split, e.source, e.key] for e in self.entries]}

    def words(self) -> str:
        """See `SplitRule.words`."""
        return f"file {self.path.name}"

    def parts(self, number: int, run: Trajectory) -> list[Part]:
        """See `SplitRule.parts`.

        Raises:
            UpsDataError: a run is named twice, a name is of several runs, or a window is not within the run.
        """
        steps, found = frames_of(run), []
        for entry_number in self._matching(run):
            entry = self.entries[entry_number]
            if self._runs.setdefault(entry_number, number) != number:
                raise UpsDataError(f"{self.path}: {entry} is the name of several runs: name their files, too")
            window = None if entry.key == run.key else parse_window(entry.key)
            frames = (0, steps) if window is None else window[1]
            if not 0 <= frames[0] < frames[1] <= steps:
                raise UpsDataError(f"{self.path}: {entry} is no window of {run.source}, which has {steps} frames there")
            found.append((frames, entry, Part(number, entry.split, None if window is None else frames)))
        found.sort(key=lambda one: one[0])
        for (before, first, _), (after, second, _) in pairwise(found):
            if after[0] < before[1]:
                raise UpsDataError(
                    f"{self.path}: names frames of {run.key} of {run.source} twice, {first} and {second}"
                )
        return [part for _, _, part in found]

    def finish(self, source: str) -> None:
        """See `SplitRule.finish`: every entry must have been a run's."""
        unknown = [entry for number, entry in enumerate(self.entries) if number not in self._runs]
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise UpsDataError(f"{self.path}: {source} has no run {unknown[0]}{more}: correct the name, or take it out")

    def _matching(self, run: Trajectory) -> list[int]:
        found = dict.fromkeys(
            number for source in names_of(run.source, self.root) for number in self._by_name.get((source, run.key), ())
        )
        return list(found)


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            text = file.read(limits.JSON_BYTES + 1)
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    if len(text) > limits.JSON_BYTES:
        raise UpsDataError(f"{path}: is longer than {limits.JSON_BYTES:,} bytes: give a file of splits")
    return text


def _entries(path: Path, text: bytes) -> Iterator[Entry]:
    try:
        if path.suffix == ".csv":
            yield from _from_rows(path, csv.DictReader(io.StringIO(text.decode())))
            return
        given = parse_yaml(text.decode(), MOST_IN_YAML) if path.suffix in (".yaml", ".yml") else parse_json(text)
    except (ValueError, yaml.YAMLError, csv.Error, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(f"{path}: cannot be read as {path.suffix or 'JSON'} ({reason}): write {FORM}") from None
    if not isinstance(given, dict) or not given:
        raise UpsDataError(f"{path}: is no object of splits: write {FORM}")
    for split, runs in given.items():
        check_split_name(split)
        if not isinstance(runs, list) or not runs:
            raise UpsDataError(f"{path}: {split!r} lists no runs: write {FORM}")
        for run in runs:
            yield _entry(path, split, run)


def _entry(path: Path, split: str, run: object) -> Entry:
    source, key = (run.get("source"), run.get("key")) if isinstance(run, dict) else (None, run)
    if isinstance(run, dict) and not set(run) <= {"source", "key"}:
        key = None
    if not isinstance(key, str) or not isinstance(source, str | None):
        raise UpsDataError(f"{path}: {split!r} lists {str(run)[:100]!r}, which names no run: write {FORM}, as text")
    return Entry(split, source, key)


def _from_rows(path: Path, rows: "csv.DictReader[str]") -> Iterator[Entry]:
    if not {"split", "key"} <= set(rows.fieldnames or ()):
        raise UpsDataError(f"{path}: has the columns {rows.fieldnames}: write split,source,key")
    for row in rows:
        split, key = row["split"], row["key"]
        if not split or key is None:
            raise UpsDataError(f"{path}, line {rows.line_num}: names no split or no run: write split,source,key")
        yield Entry(check_split_name(split), row.get("source") or None, key)
