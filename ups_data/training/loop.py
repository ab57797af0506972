"""`train`: from a configuration to a trained model."""

import json
import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ups_data.atomic import replacing
from ups_data.batch import QueryBatch
from ups_data.errors import UpsDataError
from ups_data.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ups_data.training.config import TrainConfig
from ups_data.training.evaluate import Evaluation, evaluate
from ups_data.training.loaders import train_loader, valid_loader
from ups_data.training.model import UpsModel, build_model
from ups_data.training.optimiser import Optimiser
from ups_data.training.step import batch_losses

HISTORY = "history.json"
# Keys in which a resumed run may differ from the run that it continues.
FREE_KEYS = {"out", "training.resume", "training.device", "data.root", "data.num_workers", "data.threads"}


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step: losses (weighted components and their total), and where its seconds went."""

    epoch: int
    step: int
    queries: int
    loss: dict[str, float]
    data_seconds: float
    compute_seconds: float


@dataclass
class TrainResult:
    """What a run gave.

    Attributes:
        out: folder with `checkpoint.pt` and `history.json`.
        epochs: one entry per epoch, as in `history.json`.
        untrained_nrmse, persistence_nrmse, valid_nrmse: on the dense validation grid; None without validation (or, for
            persistence, where the targets are not among the inputs).
        seconds: of training, validation left out.
        peak_memory_mb: of the device, or of this process on a CPU.
    """

    out: Path
    epochs: list[dict[str, Any]] = field(default_factory=list)
    untrained_nrmse: float | None = None
    persistence_nrmse: float | None = None
    valid_nrmse: float | None = None
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    model: UpsModel | None = None

    def history(self) -> dict[str, Any]:
        """Everything but the model, ready for JSON."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("model", "out")}
        return {"out": str(self.out), **kept}


def train(
    config: TrainConfig, *, on_step: Callable[[StepRecord], None] | None = None, console: Console | None = None
) -> TrainResult:
    """Train the reference model on a dataset.

    Args:
        config: see `load_config`.
        on_step: called after every optimiser step.
        console: where progress and one line per epoch go; `Console(quiet=True)` for none.

    Returns:
        figures and the trained model. `config.out` then holds the checkpoint and `history.json`.

    Raises:
        UpsDataError: data, configuration or checkpoint that cannot be used, or a loss that is no longer finite.
    """
    return Trainer(config, on_step=on_step, console=console).run()


class Trainer:
    """The state of one run; `run` drives it."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        on_step: Callable[[StepRecord], None] | None = None,
        console: Console | None = None,
    ) -> None:
        self.config, self.on_step, self.console = config, on_step, console or Console()
        self.device = _device(config.training.device)
        self.weights = config.loss_weights()
        self.loader = train_loader(config)
        self.valid = valid_loader(config, self.loader)
        torch.manual_seed(config.training.seed)
        self.model = build_model(config.data.root, self.loader.manifest, config.data, config.model).to(self.device)
        self.optimiser = Optimiser(self.model, config.training, len(self.loader), self.device)
        self.out = Path(config.out)
        self.result = TrainResult(self.out, model=self.model)
        self.first_epoch = 0

    def run(self) -> TrainResult:
        self.out.mkdir(parents=True, exist_ok=True)
        checkpoint = self.out / CHECKPOINT
        if self.config.training.resume and checkpoint.exists():
            self._restore(load_checkpoint(checkpoint), checkpoint)
        else:
            self._start()
        epochs = self.config.training.epochs
        with self._progress() as progress:
            bar = progress.add_task("training", total=epochs * len(self.loader), info="")
            progress.update(bar, completed=self.first_epoch * len(self.loader))
            for epoch in range(self.first_epoch, epochs):
                entry = self._epoch(epoch, lambda loss: progress.update(bar, advance=1, info=f"loss {loss:.4f}"))
                if (epoch + 1) % self.config.training.validate_every == 0 or epoch + 1 == epochs:
                    self._validate(entry)
                self.result.epochs.append(entry)
                self.result.seconds += entry["seconds"]
                self.result.peak_memory_mb = _peak_memory_mb(self.device)
                self._save(epoch + 1)
                progress.console.print(_line(entry, epochs), soft_wrap=True)
        return self.result

    def _start(self) -> None:
        """Figures to beat: the untrained model's, and that of predicting no change."""
        if self.valid is not None:
            before = evaluate(self.model, self.valid, device=self.device)
            self.result.untrained_nrmse, self.result.persistence_nrmse = before.nrmse, before.persistence
            still = "" if before.persistence is None else f" · persistence {before.persistence:.4f}"
            self.console.print(f"untrained nRMSE {before.nrmse:.4f}{still}")
        else:
            self.console.print(f"no split {self.config.data.valid_split!r} with samples: training without validation")

    def _epoch(self, epoch: int, tick: Callable[[float], None]) -> dict[str, Any]:
        """One pass over the training split; returns its entry of the history."""
        self.loader.set_epoch(epoch)
        self.model.train()
        records: list[StepRecord] = []
        learning_rate = self.optimiser.learning_rate
        begun = ready = time.perf_counter()
        for batch in self.loader.to(self.device):
            arrived = time.perf_counter()
            loss = self._step(batch, epoch)
            done = time.perf_counter()
            queries = batch.target_queries.coords.shape[-2]
            records.append(StepRecord(epoch, len(records), queries, loss, arrived - ready, done - arrived))
            tick(loss["total"])
            if self.on_step is not None:
                self.on_step(records[-1])
            ready = time.perf_counter()
        return {
            "epoch": epoch,
            "queries": records[-1].queries,
            "ratio": records[-1].queries / self.loader.manifest.num_points,
            "steps": len(records),
            "lr": learning_rate,
            "loss": _means([r.loss for r in records]),
            "valid_nrmse": None,
            "valid_fields": None,
            "seconds": time.perf_counter() - begun,
            "data_seconds": sum(r.data_seconds for r in records),
            "compute_seconds": sum(r.compute_seconds for r in records),
            "step_seconds_median": median(r.data_seconds + r.compute_seconds for r in records),
        }

    def _step(self, batch: QueryBatch, epoch: int) -> dict[str, float]:
        settings = self.config.training
        with self.optimiser.autocast():
            total, components = batch_losses(
                self.model,
                batch,
                weights=self.weights,
                epoch=epoch,
                inverse_loss_warmup_epochs=settings.inverse_loss_warmup_epochs,
                inverse_loss_max_weight=settings.inverse_loss_max_weight,
            )
        loss = {"total": total.item(), **{name: value.item() for name, value in components.items()}}
        if not math.isfinite(loss["total"]):
            raise UpsDataError(f"the loss is {loss['total']} in epoch {epoch}: lower training.lr, or use fp32")
        self.optimiser.step(total)
        return loss

    def _validate(self, entry: dict[str, Any]) -> None:
        if self.valid is None:
            return
        found: Evaluation = evaluate(self.model, self.valid, device=self.device)
        entry["valid_nrmse"], entry["valid_fields"] = found.nrmse, found.fields
        self.result.valid_nrmse = found.nrmse

    def _save(self, epoch: int) -> None:
        """Checkpoint and history after `epoch` complete epochs."""
        history = self.result.history()
        save_checkpoint(
            self.out / CHECKPOINT,
            {
                "epoch": epoch,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "loader": self.loader.state_dict(),
                "rng": torch.get_rng_state(),
                "config": self.config.model_dump(mode="json"),
                "history": history,
            },
        )
        with replacing(self.out / HISTORY) as file:
            file.write(json.dumps({"config": self.config.model_dump(mode="json"), **history}, indent=1).encode())

    def _restore(self, state: dict[str, Any], path: Path) -> None:
        then, now = _flat(state["config"]), _flat(self.config.model_dump(mode="json"))
        for key in sorted((then.keys() | now.keys()) - FREE_KEYS):
            if then.get(key) != now.get(key):
                raise UpsDataError(
                    f"{path}: made with {key}={then.get(key)}, the configuration has {now.get(key)}: restore it, or "
                    "train in another out"
                )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.loader.load_state_dict(state["loader"])
        torch.set_rng_state(state["rng"])
        self.first_epoch = state["epoch"]
        for name, value in state["history"].items():
            if name != "out":
                setattr(self.result, name, value)
        self.console.print(f"resumed after epoch {self.first_epoch} from {path}")

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Progress(*columns, TextColumn("{task.fields[info]}"), console=self.console, transient=True)


def _line(entry: dict[str, Any], epochs: int) -> str:
    parts = " ".join(f"{name} {value:.4g}" for name, value in entry["loss"].items() if name != "total")
    valid = "" if entry["valid_nrmse"] is None else f" · valid nRMSE {entry['valid_nrmse']:.4f}"
    return (
        f"epoch {entry['epoch'] + 1}/{epochs} · Q {entry['queries']} ({entry['ratio']:.3g}) · "
        f"loss {entry['loss']['total']:.4g} ({parts}){valid} · {entry['seconds']:.1f} s "
        f"({1e3 * entry['step_seconds_median']:.0f} ms a step, waited {entry['data_seconds']:.2f} s for data)"
    )


def _means(losses: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(loss[name] for loss in losses) / len(losses) for name in losses[0]}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UpsDataError(f"training.device={name!r} is not usable here: give auto, cpu or cuda") from None
    return device


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # Linux counts in KB
