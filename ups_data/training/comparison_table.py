"""What the runs of a comparison say, in rows: each way of choosing points over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from ups_data.training.comparison import curve

HEADER = (
    "points",
    "nRMSE ± sd",
    "of dense",
    "dense by then",
    "ms a step",
    "points seen, M",
    "batch, KB a sample",
    "read, KB a sample",
    "peak MB",
)


@dataclass(frozen=True)
class Row:
    """One way of choosing points, means over seeds.

    Attributes:
        spread: sample standard deviation of nRMSE over seeds, 0 for one.
        dense_by_then: dense training's nRMSE after as many seconds, None where it had not begun to be measured.
    """

    name: str
    nrmse: float
    spread: float
    of_dense: float
    dense_by_then: float | None
    step_ms: float
    points: float
    batch_bytes: float
    read_bytes: float
    peak_memory_mb: float

    def cells(self) -> tuple[str, ...]:
        """As in `HEADER`."""
        return (
            self.name,
            f"{self.nrmse:.4f} ± {self.spread:.4f}",
            f"{self.of_dense:.2f}",
            "" if self.dense_by_then is None else f"{self.dense_by_then:.4f}",
            f"{self.step_ms:.0f}",
            f"{self.points / 1e6:.2f}",
            f"{self.batch_bytes / 1e3:.1f}",
            f"{self.read_bytes / 1e3:.1f}",
            f"{self.peak_memory_mb:.0f}",
        )


def rows(records: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each way of choosing points, in the order of the records."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_name.setdefault(record["name"], []).append(record)
    dense = by_name["dense"]
    at_best = mean(r["nrmse"] for r in dense)
    found = []
    for name, runs in by_name.items():
        errors = [r["nrmse"] for r in runs]
        seconds = mean(points_of(r)[-1][1] for r in runs)
        found.append(
            Row(
                name=name,
                nrmse=mean(errors),
                spread=stdev(errors) if len(errors) > 1 else 0.0,
                of_dense=mean(errors) / at_best,
                dense_by_then=_at(dense, seconds),
                step_ms=mean(r["step_ms"] for r in runs),
                points=mean(points_of(r)[-1][2] for r in runs),
                batch_bytes=mean(r["batch_bytes"] for r in runs),
                read_bytes=mean(r["read_bytes"] for r in runs),
                peak_memory_mb=mean(r["peak_memory_mb"] for r in runs),
            )
        )
    return found


def points_of(record: dict[str, Any]) -> list[tuple[int, float, int, float]]:
    """The run's `curve`."""
    return list(curve(record, record["config"]["data"]["batch_size"]))


def markdown(found: Sequence[Row]) -> str:
    """The table for a README."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in found)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _at(runs: Sequence[dict[str, Any]], seconds: float) -> float | None:
    """Mean nRMSE of runs after so many seconds, between two validations on the straight line through their logarithms;
    from the last on, the last."""
    errors = []
    for run in runs:
        _, times, _, nrmse = zip(*points_of(run), strict=True)
        if seconds < times[0]:
            return None
        errors.append(float(np.exp(np.interp(seconds, times, np.log(nrmse)))))
    return mean(errors)
