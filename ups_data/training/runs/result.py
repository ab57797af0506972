"""What a run gives: steps, epochs, figures."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel

from ups_data.engine.stats import LoaderStats
from ups_data.models.protocol import Model
from ups_data.training.points.chosen import Chosen

DAMAGED = (
    "damaged samples were left out, {trained} times in training and {validated} times in validation: "
    "`ups-data verify DIR` lists the shards"
)


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step: losses (weighted components and their total), and where its seconds went."""

    epoch: int
    step: int
    queries: int
    loss: dict[str, float]
    data_seconds: float
    compute_seconds: float

    def figures(self, lr: float) -> dict[str, Any]:
        """As sinks get them."""
        seconds = {"data": self.data_seconds, "compute": self.compute_seconds}
        values = {"epoch": self.epoch, "step": self.step, "queries": self.queries, "lr": lr, "loss": self.loss}
        return {**values, "seconds": seconds}


class Entry(BaseModel):
    """What is read of an epoch's entry when a run goes on."""

    damaged_samples: int = 0


class History(BaseModel):
    """The form of `TrainResult.history`."""

    finished: bool
    epochs: list[Entry]
    untrained_nrmse: float | None
    persistence_nrmse: float | None
    valid_nrmse: float | None
    seconds: float
    peak_memory_mb: float
    points: list[Chosen] = []


@dataclass
class TrainResult:
    """What a run gave.

    Attributes:
        out: folder with `checkpoint.pt`, `history.json` and `metrics.jsonl`.
        finished: every epoch is done; False if the run was stopped, to be continued.
        epochs: one entry per epoch, as in `history.json`.
        untrained_nrmse, persistence_nrmse, valid_nrmse: on the dense validation grid; None without validation (or, for
            persistence, where the targets are not among the inputs).
        seconds: of training, validation left out.
        peak_memory_mb: of the device, or of this process on a CPU.
        points: what `query_sample_ratio=auto` chose, the fields of `Chosen` each time.
    """

    out: Path
    finished: bool = False
    epochs: list[dict[str, Any]] = field(default_factory=list)
    untrained_nrmse: float | None = None
    persistence_nrmse: float | None = None
    valid_nrmse: float | None = None
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    points: list[dict[str, Any]] = field(default_factory=list)
    model: Model | None = None

    @property
    def damaged_samples(self) -> int:
        """Left out in training, in the epochs that are done."""
        return sum(e.get("damaged_samples", 0) for e in self.epochs)

    def add(self, entry: dict[str, Any], peak_memory_mb: float) -> None:
        """An epoch is done."""
        self.epochs.append(entry)
        self.seconds += entry["seconds"]
        self.peak_memory_mb = peak_memory_mb

    def history(self) -> dict[str, Any]:
        """Everything but the model, ready for JSON."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("model", "out")}
        return {"out": str(self.out), **kept}

    def restore(self, history: dict[str, Any]) -> None:
        """Take over what `history` gave; `out` may have moved since."""
        for name in self.history().keys() & history.keys() - {"out"}:
            setattr(self, name, history[name])


@dataclass
class EpochTally:
    """The steps of one epoch so far, added up; plain data, so that a checkpoint can hold it.

    Attributes:
        lr: learning rate of the first step.
        queries, ratio: of the last step; how many, and of how many points.
        loss: sums over the steps.
        step_seconds: of every step.
        damaged_samples: left out, on all ranks.
    """

    steps: int = 0
    lr: float = 0.0
    queries: int = 0
    ratio: float = 0.0
    loss: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    data_seconds: float = 0.0
    compute_seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)
    damaged_samples: int = 0

    def add(self, record: StepRecord, lr: float, ratio: float) -> None:
        """Add one step."""
        if self.steps == 0:
            self.lr = lr
        self.steps += 1
        self.queries, self.ratio = record.queries, ratio
        for name, value in record.loss.items():
            self.loss[name] = self.loss.get(name, 0.0) + value
        self.data_seconds += record.data_seconds
        self.compute_seconds += record.compute_seconds
        self.step_seconds.append(record.data_seconds + record.compute_seconds)

    def entry(self, epoch: int) -> dict[str, Any]:
        """The epoch's entry of the history, validation not yet filled in."""
        return {
            "epoch": epoch,
            "queries": self.queries,
            "ratio": self.ratio,
            "steps": self.steps,
            "lr": self.lr,
            "loss": {name: total / self.steps for name, total in self.loss.items()},
            "valid_nrmse": None,
            "valid_fields": None,
            "seconds": self.seconds,
            "data_seconds": self.data_seconds,
            "compute_seconds": self.compute_seconds,
            "step_seconds_median": median(self.step_seconds),
            "damaged_samples": self.damaged_samples,
        }


def reading_figures(read: LoaderStats, entry: dict[str, Any]) -> dict[str, float]:
    """What an epoch's batches took from a store behind a URL.

    Args:
        read: of the epoch.
        entry: of its history.
    """
    seconds = entry["data_seconds"] + entry["compute_seconds"]
    return {
        "fetched_bytes": read.fetched_bytes,
        "used_bytes": read.used_bytes,
        "over_read": read.fetched_bytes / max(1, read.used_bytes),
        "requests": read.requests,
        "retries": read.retries,
        "wait_share": entry["data_seconds"] / max(1e-9, seconds),
    }
