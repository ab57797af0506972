"""What the runs of a comparison say, in rows: each way of choosing points over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from ups_data.training.comparison import DENSE, curve

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
        dense_by_then: the best of dense training by the time that this run ended: at the first validation from then on,
            so that it is given rather more time than less, and of the shorter dense runs too, whose learning rate had
            fallen by then.
    """

    name: str
    nrmse: float
    spread: float
    of_dense: float
    dense_by_then: float
    step_ms: float
    points: float
    batch_bytes: float
    read_bytes: float
    peak_memory_mb: float | None

    def cells(self) -> tuple[str, ...]:
        """As in `HEADER`."""
        return (
            self.name,
            f"{self.nrmse:.4f} ± {self.spread:.4f}",
            f"{self.of_dense:.2f}",
            f"{self.dense_by_then:.4f}",
            f"{self.step_ms:.0f}",
            f"{self.points / 1e6:.2f}",
            f"{self.batch_bytes / 1e3:.1f}",
            f"{self.read_bytes / 1e3:.1f}",
            "" if self.peak_memory_mb is None else f"{self.peak_memory_mb:.0f}",
        )


def rows(records: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each way of choosing points, in the order of the records."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_name.setdefault(record["name"], []).append(record)
    dense = mean(r["nrmse"] for r in by_name[DENSE])
    all_dense = [runs for name, runs in by_name.items() if name.startswith(DENSE)]
    found = []
    for name, runs in by_name.items():
        errors = [r["nrmse"] for r in runs]
        peaks = [r["peak_memory_mb"] for r in runs if r["peak_memory_mb"] is not None]
        seconds = mean(points_of(r)[-1][1] for r in runs)
        found.append(
            Row(
                name=name,
                nrmse=mean(errors),
                spread=stdev(errors) if len(errors) > 1 else 0.0,
                of_dense=mean(errors) / dense,
                dense_by_then=min(_by_then(d, seconds) for d in all_dense),
                step_ms=mean(r["step_ms"] for r in runs),
                points=mean(points_of(r)[-1][2] for r in runs),
                batch_bytes=mean(r["batch_bytes"] for r in runs),
                read_bytes=mean(r["read_bytes"] for r in runs),
                peak_memory_mb=mean(peaks) if peaks else None,
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


def _by_then(runs: Sequence[dict[str, Any]], seconds: float) -> float:
    """Mean nRMSE of runs at their first validation after so many seconds of training, or else their last."""
    errors = []
    for run in runs:
        validations = points_of(run)
        errors.append(next((v for _, at, _, v in validations if at >= seconds), validations[-1][3]))
    return mean(errors)
