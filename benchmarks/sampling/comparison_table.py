"""What the runs of a comparison say, in rows: each way of choosing points over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Protocol

from benchmarks.sampling.comparison import DENSE, curve
from benchmarks.sampling.comparison_times import Costs

HEADER = (
    "points",
    "nRMSE ± sd",
    "of dense",
    "dense by then",
    "ms a step",
    "points seen, M",
    "batch, KB a sample",
    "read, KB a sample",
    "memory of a step, MB",
)

# (steps, seconds, points seen, nRMSE) at each validation
Curve = list[tuple[int, float, int, float]]


@dataclass(frozen=True)
class Row:
    """One way of choosing points, means over seeds.

    Attributes:
        spread: sample standard deviation of nRMSE over seeds, 0 for one.
        dense_by_then: the best of dense training by the time that this run ended: at the first validation from then on,
            so that it is given rather more time than less, and of the shorter dense runs too, whose learning rate had
            fallen by then.
        step_ms: see `step_costs`; of a schedule the mean over epochs.
        memory_mb: of the step that takes most.
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
    memory_mb: float

    def cells(self) -> tuple[str, ...]:
        """As in `HEADER`."""
        return (
            self.name,
            f"{self.nrmse:.4f} ± {self.spread:.4f}",
            f"{self.of_dense:.2f}",
            f"{self.dense_by_then:.4f}",
            f"{self.step_ms:.1f}",
            f"{self.points / 1e6:.2f}",
            f"{self.batch_bytes / 1e3:.1f}",
            f"{self.read_bytes / 1e3:.1f}",
            f"{self.memory_mb:.0f}",
        )


def rows(records: Sequence[dict[str, Any]], costs: Costs) -> list[Row]:
    """A row for each way of choosing points, in the order of the records."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_name.setdefault(record["name"], []).append(record)
    curves = curves_of(records, costs)
    dense = mean(r["nrmse"] for r in by_name[DENSE])
    found = []
    for name, runs in by_name.items():
        errors = [r["nrmse"] for r in runs]
        steps, seconds, points, _ = curves[name][0][-1]
        found.append(
            Row(
                name=name,
                nrmse=mean(errors),
                spread=stdev(errors) if len(errors) > 1 else 0.0,
                of_dense=mean(errors) / dense,
                dense_by_then=min(_by_then(curves[d], seconds) for d in by_name if d.startswith(DENSE)),
                step_ms=1e3 * seconds / steps,
                points=points,
                batch_bytes=mean(r["batch_bytes"] for r in runs),
                read_bytes=mean(r["read_bytes"] for r in runs),
                memory_mb=max(cost.bytes for cost in costs[name].values()) / 1e6,
            )
        )
    return found


def curves_of(records: Sequence[dict[str, Any]], costs: Costs) -> dict[str, list[Curve]]:
    """name → the `curve` of every seed."""
    found: dict[str, list[Curve]] = {}
    for record in records:
        found.setdefault(record["name"], []).append(list(curve(record, costs)))
    return found


class Cells(Protocol):
    """A row of a table."""

    def cells(self) -> tuple[str, ...]:
        """As in its header."""


def markdown(found: Sequence[Cells], header: Sequence[str] = HEADER) -> str:
    """The table for a README."""
    lines = [header, ("---",) * len(header), *(row.cells() for row in found)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _by_then(curves: Sequence[Curve], seconds: float) -> float:
    """Mean nRMSE of runs at their first validation after so many seconds of training, or else their last."""
    return mean(next((error for _, at, _, error in c if at >= seconds), c[-1][3]) for c in curves)
