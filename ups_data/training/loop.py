"""`train`: from a configuration to a trained model."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor, nn

from ups_data.batch import QueryBatch
from ups_data.engine.stats import LoaderStats
from ups_data.errors import UpsDataError, shown
from ups_data.models.protocol import query_sets_of
from ups_data.training.config import TrainConfig
from ups_data.training.device import device_of, peak_memory_mb
from ups_data.training.evaluation.validation import Evaluation, evaluate
from ups_data.training.latents.start import beside_latents, started
from ups_data.training.loaders import open_manifest, train_loader, valid_loader
from ups_data.training.optimiser import Optimiser
from ups_data.training.runs.checkpoint import (
    CHECKPOINT,
    VERSION,
    check_continues,
    check_form,
    load_checkpoint,
    put_weights,
    reading,
    save_checkpoint,
)
from ups_data.training.runs.folder import forget_run, only_run_in, write_history
from ups_data.training.runs.metrics import METRICS, MetricsFile
from ups_data.training.runs.result import EpochTally, StepRecord, TrainResult, reading_figures
from ups_data.training.runs.rng import rng_state, seed_all, set_rng_state
from ups_data.training.sinks import ConsoleSink, Sink
from ups_data.training.step import batch_losses
from ups_data.training.targets import model_of, name_of


def train(
    config: TrainConfig,
    *,
    model: nn.Module | None = None,
    sinks: Sequence[Sink] = (),
    on_step: Callable[[StepRecord], None] | None = None,
    console: Console | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train a model on a dataset, from the checkpoint in `config.out` if there is one.

    Model, optimiser, schedule, random states and the loader's place are written together every
    `training.checkpoint_every` steps and after each epoch, so a run that is killed loses the steps since then and
    nothing else: continued, it gives the parameters and the metrics of an undisturbed run.

    Args:
        config: see `load_config`.
        model: any `nn.Module` with `losses` and `predict` (see `models.protocol.Model`), trained in place; None: the
            one that the configuration's `model` section describes.
        sinks: called with (steps taken, values) after every step, validation and epoch, see `training.sinks.Sink`;
            beside `metrics.jsonl` and the console.
        on_step: called after every optimiser step.
        console: where progress and one line per epoch go; `Console(quiet=True)` for none.
        stop: asked after every step; once it is true, the run is saved and ends.

    Returns:
        figures and the trained model. `config.out` then holds the checkpoint, `history.json` (epochs) and
        `metrics.jsonl` (steps).

    Raises:
        UpsDataError: data, configuration or checkpoint that cannot be used, an `out` in which another run is under
            way, a full disk, or a loss that is no longer finite.
    """
    return Trainer(config, model=model, sinks=sinks, on_step=on_step, console=console, stop=stop).run()


class _Stopped(Exception):
    """The run was asked to stop, and stands at the end of a step."""


class Trainer:
    """The state of one run; `run` drives it."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        model: nn.Module | None,
        sinks: Sequence[Sink],
        on_step: Callable[[StepRecord], None] | None,
        console: Console | None,
        stop: Callable[[], bool],
    ) -> None:
        self.config, self.on_step, self.console, self.stop = config, on_step, console or Console(), stop
        self.device = device_of(config.training.device)
        self.weights = config.loss_weights()
        self.feeds_back = config.to_sampling().metric == "error"
        self.given = None if model is None else name_of(model)
        seed_all(config.training.seed)
        self.model = started(model_of(config, open_manifest(config), model), config).to(self.device)
        loader = train_loader(config, query_sets_of(self.model, self.weights))
        self.loader = beside_latents(loader, config, self.model)
        self.batches = self.loader.to(self.device)
        self.valid = valid_loader(config, self.loader)
        self.optimiser = Optimiser(self.model, config.training, len(self.loader), self.device)
        self.out = Path(config.out)
        self.result = TrainResult(self.out, model=self.model)
        self.epoch, self.tally, self.read = 0, EpochTally(), LoaderStats()
        epochs = config.training.epochs
        self.bar = ConsoleSink(self.console, steps=epochs * len(self.loader), epochs=epochs)
        self.sinks: list[Sink] = [self.bar, *sinks]

    def run(self) -> TrainResult:
        """Train from the last checkpoint, or from the start, to the end or until `stop` says so."""
        with only_run_in(self.out):
            state = self._last_checkpoint()
            with MetricsFile(self.out / METRICS, keep=0 if state is None else state["metrics"]) as self.metrics:
                self.sinks.insert(0, self.metrics)
                try:
                    self._start() if state is None else self._restore(state)
                    with self.bar:
                        self._train()
                except _Stopped:
                    self._say(f"stopped in epoch {self.epoch + 1} after {self.tally.steps} steps")
        self._tell_of_damage()
        return self.result

    def _emit(self, **values: Any) -> None:
        taken = self.epoch * len(self.loader) + self.tally.steps
        for sink in self.sinks:
            sink(taken, values)

    def _say(self, text: str) -> None:
        self.console.print(shown(text), soft_wrap=True)

    def _tell_of_damage(self) -> None:
        of_epochs = sum(entry.get("damaged_samples", 0) for entry in self.result.epochs)
        trained = of_epochs + self.tally.damaged_samples
        validated = 0 if self.valid is None else self.valid.stats.damaged_samples
        if trained or validated:
            self._say(
                f"damaged samples were left out, {trained} times in training and {validated} times in validation: "
                "`ups-data verify DIR` lists the shards",
            )

    def _last_checkpoint(self) -> dict[str, Any] | None:
        path = self.out / CHECKPOINT
        if not self.config.training.resume:
            forget_run(self.out)
        if not path.exists():
            return None
        state = load_checkpoint(path)
        check_form(state, path)
        check_continues(state, self.config, path, model_is_given=self.given is not None)
        return state

    def _start(self) -> None:
        """Figures to beat: the untrained model's, and the persistence baseline's."""
        if self.valid is not None:
            before = evaluate(self.model, self._watched(self.valid), device=self.device)
            self.result.untrained_nrmse, self.result.persistence_nrmse = before.nrmse, before.persistence
        else:
            self._say(f"no split {self.config.data.valid_split!r} with samples: training without validation")
        self._emit(untrained_nrmse=self.result.untrained_nrmse, persistence_nrmse=self.result.persistence_nrmse)

    def _train(self) -> None:
        """The epochs that are left."""
        epochs = self.config.training.epochs
        while self.epoch < epochs:
            try:
                self._steps()
                entry = self.tally.entry(self.epoch, self.loader.manifest.points_of_frame)
                if (self.epoch + 1) % self.config.training.validate_every == 0 or self.epoch + 1 == epochs:
                    self._validate(entry)
            except _Stopped:
                self._save()
                raise
            self.result.epochs.append(entry)
            self.result.seconds += entry["seconds"]
            self.result.peak_memory_mb = peak_memory_mb(self.device)
            self.epoch, self.tally = self.epoch + 1, EpochTally()
            self.result.finished = self.epoch == epochs
            self._save()
            self._write_history()
            self._emit(epoch=entry["epoch"], summary=entry)
            read, self.read = self.loader.stats - self.read, self.loader.stats
            if read.requests:  # of a store behind a URL
                self._emit(epoch=entry["epoch"], reading=reading_figures(read, entry))

    def _steps(self) -> None:
        """The steps that are left of this epoch: none, where its validation was interrupted."""
        if self.tally.steps == 0:
            self.batches.set_epoch(self.epoch)
        if self.tally.steps == len(self.loader):
            return
        every = self.config.training.checkpoint_every
        before = self.epoch * len(self.loader)
        self.model.train()
        ready = since = time.perf_counter()
        for batch in self._watched(self.batches):
            arrived = time.perf_counter()
            lr, loss = self.optimiser.learning_rate, self._step(batch)
            done = time.perf_counter()
            queries = sum(s.target_queries.coords.shape[-2] for s in (batch, *batch.others.values()))
            record = StepRecord(self.epoch, self.tally.steps, queries, loss, arrived - ready, done - arrived)
            self.tally.add(record, lr)
            self.tally.damaged_samples += len(batch) - batch.num_valid  # nothing else fills a batch of this split
            seconds = {"data": record.data_seconds, "compute": record.compute_seconds}
            self._emit(epoch=record.epoch, step=record.step, queries=queries, lr=lr, loss=loss, seconds=seconds)
            if self.on_step is not None:
                self.on_step(record)
            now = time.perf_counter()
            self.tally.seconds, since = self.tally.seconds + now - since, now
            if every and (before + self.tally.steps) % every == 0 and self.tally.steps < len(self.loader):
                self._save()
            ready = time.perf_counter()

    def _watched(self, batches: Iterable[QueryBatch]) -> Iterator[QueryBatch]:
        """The batches, until the run is asked to stop."""
        iterator = iter(batches)
        while not self.stop():
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except Exception:
                # A signal to the whole process group ends the loader's processes too, whatever they are at.
                if not self.stop():
                    raise
                break
            yield batch
        raise _Stopped

    def _step(self, batch: QueryBatch) -> dict[str, float]:
        settings = self.config.training
        errors: list[Tensor] = []
        with self.optimiser.autocast():
            total, components = batch_losses(
                self.model,
                batch,
                weights=self.weights,
                epoch=self.epoch,
                inverse_loss_warmup_epochs=settings.inverse_loss_warmup_epochs,
                inverse_loss_max_weight=settings.inverse_loss_max_weight,
                on_errors=errors.append if self.feeds_back else None,
            )
        for found in errors:
            self.loader.feedback(batch, found)
        loss = {"total": total.item(), **{name: value.item() for name, value in components.items()}}
        if not math.isfinite(loss["total"]):
            raise UpsDataError(f"the loss is {loss['total']} in epoch {self.epoch}: lower training.lr, or use fp32")
        self.optimiser.step(total)
        return loss

    def _validate(self, entry: dict[str, Any]) -> None:
        if self.valid is None:
            return
        found: Evaluation = evaluate(self.model, self._watched(self.valid), device=self.device)
        entry["valid_nrmse"], entry["valid_fields"] = found.nrmse, found.fields
        self.result.valid_nrmse = found.nrmse
        self._emit(epoch=self.epoch, valid_nrmse=found.nrmse, valid_fields=found.fields)

    def _save(self) -> None:
        """Everything that the steps to come depend on, in one file. The metrics are on the disk before it is."""
        save_checkpoint(
            self.out / CHECKPOINT,
            {
                "version": VERSION,
                "metrics": self.metrics.sync(),
                "epoch": self.epoch,
                "tally": self.tally.__dict__,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "loader": self.batches.state_dict(),
                "rng": rng_state(),
                "config": self.config.model_dump(mode="json"),
                "given_model": self.given,
                "history": self.result.history(),
            },
        )

    def _write_history(self) -> None:
        write_history(self.out, self.config.model_dump(mode="json"), self.result.history())

    def _restore(self, state: dict[str, Any]) -> None:
        path = self.out / CHECKPOINT
        put_weights(self.model, state, path)
        with reading(path):
            self.batches.load_state_dict(state["loader"])
            self.optimiser.load_state_dict(state["optimiser"])
            set_rng_state(state["rng"])
            self.epoch, self.tally = state["epoch"], EpochTally(**state["tally"])
            self.result.restore(state["history"])
        self._write_history()  # the run may have ended between checkpoint and history
        steps = f" and {self.tally.steps} steps" if self.tally.steps else ""
        self._say(f"resumed after {self.epoch} epochs{steps} from {path}")
