"""`CsvSink`: a run's numbers in a table."""

import csv
import io
import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ups_data.atomic import open_log, replacing
from ups_data.errors import UpsDataError
from ups_data.training.sinks.sink import scalars

COLUMNS = ("step", "name", "value")


class CsvSink:
    """A sink that writes one line for every number: `step,name,value`, such as `12,loss/total,0.25`.

    `pandas.read_csv(path).pivot(index="step", columns="name", values="value")` makes a column of each name. A file that
    is there is continued: lines of steps that come again are replaced.

        with CsvSink("run.csv") as sink:
            train(config, sinks=[sink])

    Raises:
        UpsDataError: the file is there and is no such table.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._last = 0  # the last step that was written
        self._names: set[str] = set()  # of its numbers
        self._file = self._opened()
        self._continued = os.fstat(self._file.fileno()).st_size > 0
        if self._continued:
            self._last = max((int(row[0]) for row in self._rows()), default=0)
        else:
            self._file.write(",".join(COLUMNS) + "\n")
            self._file.flush()

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Write a line for every number."""
        pairs = dict(scalars(values))
        if step < self._last or self._continued:
            self._forget(step, pairs)
        elif step == self._last:  # the epoch of a step is that of the validation after it
            pairs = {name: value for name, value in pairs.items() if name not in self._names}
        self._names = {*pairs} | (self._names if step == self._last else set())
        self._last, self._continued = step, False
        csv.writer(self._file, lineterminator="\n").writerows((step, *pair) for pair in pairs.items())
        self._file.flush()

    def _opened(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(open_log(self._path), encoding="utf-8", newline="")

    def _rows(self) -> list[list[str]]:
        try:
            with open(self._path, newline="", encoding="utf-8") as file:
                header, *rows = [*csv.reader(file)] or [[]]
        except (ValueError, csv.Error):  # no text, or no table
            header, rows = [], []
        if tuple(header) != COLUMNS or any(len(row) != 3 or not re.fullmatch("[0-9]{1,18}", row[0]) for row in rows):
            raise UpsDataError(f"{self._path}: is there and is not a table of {', '.join(COLUMNS)}: give another path")
        return rows

    def _forget(self, step: int, names: Container[str]) -> None:
        """A run that goes on from its checkpoint gives what it gave since then again."""
        rows = [row for row in self._rows() if int(row[0]) < step or (int(row[0]) == step and row[1] not in names)]
        self._file.close()
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        with replacing(self._path) as file:
            file.write(text.getvalue().encode())
        self._file = self._opened()

    def __enter__(self) -> "CsvSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
