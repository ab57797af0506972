"""`train`: from a configuration to a trained model."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from ups_data.batch import QueryBatch
from ups_data.engine.stats import LoaderStats
from ups_data.errors import shown
from ups_data.models.protocol import as_model
from ups_data.training.compiled import check_needs
from ups_data.training.config import TrainConfig
from ups_data.training.device import device_of, peak_memory_mb
from ups_data.training.evaluation.validation import Evaluation, evaluate
from ups_data.training.latents.start import started
from ups_data.training.loaders import open_manifest, rewound, valid_loader
from ups_data.training.optimiser import Average, Optimiser
from ups_data.training.points.batches import chosen_together, opened
from ups_data.training.ranks.batches import InStep, Stopped
from ups_data.training.ranks.group import Group, joined, local_rank
from ups_data.training.runs.checkpoint import CHECKPOINT, VERSION, of_run, reading, save_checkpoint
from ups_data.training.runs.folder import last_checkpoint, only_run_in, write_history
from ups_data.training.runs.metrics import METRICS, MetricsFile
from ups_data.training.runs.result import DAMAGED, EpochTally, StepRecord, TrainResult, reading_figures
from ups_data.training.runs.rng import rng_state, seed_all, seed_of_rank, set_rng_state_of
from ups_data.training.runs.share import Share
from ups_data.training.sinks import ConsoleSink, Sink
from ups_data.training.sinks.machine import machine_values
from ups_data.training.sinks.named import named_sinks
from ups_data.training.sinks.pictures import draw_validation
from ups_data.training.step import TrainStep, training_context
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

    Under a launcher such as torchrun, every rank calls this, and takes its share of each batch. Rank 0 alone writes,
    prints, and calls the sinks.

    Returns:
        figures and the trained model. `config.out` then holds the checkpoint, `history.json` (epochs) and
        `metrics.jsonl` (steps).

    Raises:
        UpsDataError: data, configuration or checkpoint that cannot be used, an `out` in which another run is under
            way, a full disk, a loss that is no longer finite, or another rank that failed.
    """
    device = device_of(config.training.device, local_rank())
    with joined(device) as group:
        with group.together():
            trainer = Trainer(
                config, group, device, model=model, sinks=sinks, on_step=on_step, console=console, stop=stop
            )
        return trainer.run()


class Trainer:
    """The state of one run; `run` drives it."""

    def __init__(
        self,
        config: TrainConfig,
        group: Group,
        device: torch.device,
        *,
        model: nn.Module | None,
        sinks: Sequence[Sink],
        on_step: Callable[[StepRecord], None] | None,
        console: Console | None,
        stop: Callable[[], bool],
    ) -> None:
        self.config, self.group, self.device, self.on_step = config, group, device, on_step
        self.console = (console or Console()) if group.first else Console(quiet=True)
        self.weights = config.loss_weights()
        self.feeds_back = config.to_sampling().metric == "error"
        self.given = None if model is None else name_of(model)
        settings = config.training
        seed_all(settings.seed)
        self.model = started(model_of(config, open_manifest(config), model), config).to(device)
        self.loader, self.batches = opened(config, self.model, device)
        self.share = Share(self.loader.manifest, config.data.train_split)
        self.valid = valid_loader(config, self.loader)
        self.in_step = InStep(group, stop)
        self.optimiser = Optimiser(self.model, settings, len(self.loader), device)
        self.last = settings.steps_in_all(len(self.loader))
        self.average = None if settings.ema is None else Average(self.model, settings.ema)
        self.judged = self.model if self.average is None else as_model(self.average.model, "the averaged model")
        self.out = Path(config.out)
        self.result = TrainResult(self.out, model=self.judged)
        self.epoch, self.tally, self.read = 0, EpochTally(), LoaderStats()
        self.epochs = math.ceil(self.last / len(self.loader))
        self.bar = ConsoleSink(self.console, steps=self.last, epochs=self.epochs)
        self.sinks: list[Sink] = [self.bar, *sinks] if group.first else []
        self.watched = False  # whether there are sinks that want more than the console and the file
        check_needs(settings, device)
        if group.rank > 0:
            seed_all(seed_of_rank(settings.seed, group.rank))

    def run(self) -> TrainResult:
        """Train from the last checkpoint, or from the start, to the end or until `stop` says so."""
        state: dict[str, Any] | None = None
        self.metrics: MetricsFile | None = None
        with ExitStack() as held:
            with self.group.together():
                if self.group.first:
                    held.enter_context(only_run_in(self.out))
                    state = last_checkpoint(self.out, self.config, model_is_given=self.given is not None)
                    keep = 0 if state is None else state["metrics"]
                    self.metrics = held.enter_context(MetricsFile(self.out / METRICS, keep=keep))
                    named = named_sinks(self.config.training.sinks, self.out, self.config.model_dump(mode="json"), held)
                    self.watched = bool(named or self.sinks[1:])
                    self.sinks = [self.metrics, *self.sinks, *named]
            state = self.group.of_first(state)
            self.step = TrainStep(self.model, self.optimiser, self.average, self.group, self.config.training)
            if state is not None:
                with self.group.together():
                    self._restore(state)
            if self.metrics is not None:
                self.metrics.begin()
            try:
                if state is None:
                    self._start()
                with self.bar:
                    self._train()
            except Stopped:
                self._say(f"stopped in epoch {self.epoch + 1} after {self.tally.steps} steps")
        self._tell_of_damage()
        return self.result

    def _taken(self) -> int:
        return self.epoch * len(self.loader) + self.tally.steps

    def _emit(self, **values: Any) -> None:
        for sink in self.sinks:
            sink(self._taken(), values)

    def _say(self, text: str) -> None:
        self.console.print(shown(text), soft_wrap=True)

    def _tell_of_damage(self) -> None:
        trained = self.result.damaged_samples + self.tally.damaged_samples
        [validated] = self.group.total([0 if self.valid is None else self.valid.stats.damaged_samples])
        if trained or validated:
            self._say(DAMAGED.format(trained=trained, validated=round(validated)))

    def _start(self) -> None:
        """Figures to beat: the untrained model's, and the persistence baseline's."""
        if self.valid is not None:
            before = evaluate(self.judged, self.in_step(rewound(self.valid)), device=self.device)
            self.result.untrained_nrmse, self.result.persistence_nrmse = before.nrmse, before.persistence
        else:
            self._say(f"no split {self.config.data.valid_split!r} with samples: training without validation")
        self._emit(untrained_nrmse=self.result.untrained_nrmse, persistence_nrmse=self.result.persistence_nrmse)

    def _train(self) -> None:
        """The epochs that are left."""
        while self.epoch < self.epochs:
            try:
                if self.tally.steps == 0:
                    self._choose_points()
                self._steps()
                entry = self.tally.entry(self.epoch)
                if (self.epoch + 1) % self.config.training.validate_every == 0 or self.epoch + 1 == self.epochs:
                    self._validate(entry)
            except Stopped:
                self._save()
                raise
            self.result.add(entry, peak_memory_mb(self.device))
            self.epoch, self.tally = self.epoch + 1, EpochTally()
            self.result.finished = self.epoch == self.epochs
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
        count = min(len(self.loader), self.last - self.epoch * len(self.loader))
        if self.tally.steps == count:
            return
        every = self.config.training.checkpoint_every
        self.model.train()
        ready = since = time.perf_counter()
        for batch in self.in_step(self.batches):
            arrived = time.perf_counter()
            lr, loss = self.optimiser.learning_rate, self._step(batch)
            done = time.perf_counter()
            queries = sum(s.target_queries.coords.shape[-2] for s in (batch, *batch.others.values()))
            record = StepRecord(self.epoch, self.tally.steps, queries, loss, arrived - ready, done - arrived)
            self.tally.add(record, lr, self.share(batch))
            self.tally.damaged_samples += self.in_step.damaged  # nothing else fills a batch of this split
            machine = {"machine": machine_values(record, self.loader.stats, self.device)} if self.watched else {}
            self._emit(**record.figures(lr), **machine)
            if self.on_step is not None:
                self.on_step(record)
            now = time.perf_counter()
            self.tally.seconds, since = self.tally.seconds + now - since, now
            if self.tally.steps == count < len(self.loader):  # the run ends within an epoch
                break
            if every and self._taken() % every == 0 and self.tally.steps < len(self.loader):
                self._save()
            ready = time.perf_counter()

    def _choose_points(self) -> None:
        """If points are to be chosen here: what is chosen is saved before the first step that depends on it."""
        chosen = self.result.points
        if (made := chosen_together(self.config, self.model, self.epoch, self.epochs, chosen, self.group)) is None:
            return
        chosen.append(made)
        self.loader.end_threads()
        self.loader, self.batches = opened(self.config, self.model, self.device, chosen)
        self.read = LoaderStats()
        self.batches.set_epoch(self.epoch)
        self._emit(epoch=self.epoch, points=made)
        self._say(f"from epoch {self.epoch + 1} on: {made['reason']}")
        self._save()

    def _step(self, batch: QueryBatch) -> dict[str, float]:
        on_errors = partial(self.loader.feedback, batch) if self.feeds_back else None
        context = training_context(self.config.training, self.weights, self.epoch, on_errors)
        return self.step(batch, context, self.in_step.samples)

    def _validate(self, entry: dict[str, Any]) -> None:
        if self.valid is None:
            return
        found: Evaluation = evaluate(self.judged, self.in_step(rewound(self.valid)), device=self.device)
        entry["valid_nrmse"], entry["valid_fields"] = found.nrmse, found.fields
        self.result.valid_nrmse = found.nrmse
        values: dict[str, Any] = {"epoch": self.epoch, "valid_nrmse": found.nrmse, "valid_fields": found.fields}
        if (samples := self.config.training.pictures) and self.group.first:
            batch = next(iter(rewound(self.valid))).to(self.device)
            folder = self.out / "pictures"
            values["pictures"] = draw_validation(self.judged, batch, folder, samples=samples, epoch=self.epoch)
        self._emit(**values)

    def _save(self) -> None:
        """Everything that the steps to come depend on, in one file. The metrics are on the disk before it is."""
        loader, (rng, *other_rngs) = self.batches.state_dict(), self.group.all_of(rng_state())
        with self.group.together():
            if self.metrics is None:
                return
            made_by = {"version": VERSION, "config": self.config.model_dump(mode="json"), "given_model": self.given}
            place = {"epoch": self.epoch, "tally": self.tally.__dict__, "history": self.result.history()}
            state = {**made_by, **place, **self.step.state_dict(), "loader": loader, "rng": rng}
            save_checkpoint(self.out / CHECKPOINT, {**state, "other_rngs": other_rngs, "metrics": self.metrics.sync()})

    def _write_history(self) -> None:
        if self.group.first:
            write_history(self.out, self.config.model_dump(mode="json"), self.result.history())

    def _restore(self, state: dict[str, Any]) -> None:
        path = self.out / CHECKPOINT
        with reading(path):
            self.step.load_state_dict(state)
            self.epoch, self.tally = state["epoch"], EpochTally(**state["tally"])
            self.result.restore(state["history"])
            if self.result.points:
                self.loader, self.batches = opened(self.config, self.model, self.device, self.result.points)
            with of_run(path):
                self.batches.load_state_dict(state["loader"])
            anew = seed_of_rank(self.config.training.seed, self.group.rank, self._taken())
            set_rng_state_of(self.group.rank, [state["rng"], *state.get("other_rngs", [])], otherwise=anew)
        self._write_history()  # the run may have ended between checkpoint and history
        steps = f" and {self.tally.steps} steps" if self.tally.steps else ""
        self._say(f"resumed after {self.epoch} epochs{steps} from {path}")
