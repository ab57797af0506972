"""The same training with points chosen in several ways: one run for each way and seed, and a table of them all.

Every run is a process of its own, so that its peak memory is its own. A run that has ended is not repeated; one that
was interrupted continues from its checkpoint.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.sampling.comparison_runs import Task, run_tasks
from benchmarks.sampling.comparison_times import Costs, StepCost, step_costs
from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.loaders import train_loader, valid_loader
from ups_data.training.points.keys import AUTO
from ups_data.training.runs.checkpoint import VERSION, check_continues
from ups_data.training.runs.metrics import METRICS

RUNS, RUN = "runs", "run.json"
DENSE = "dense"
SCHEDULES = ("linear", "cosine", "exponential", "step")


@dataclass(frozen=True)
class Variant:
    """A way of choosing points.

    Attributes:
        mode: a mode; `importance:METRIC`; or a mixture, `stratified=0.7+importance=0.3:METRIC`.
        ratio: a number; `auto`, chosen by the run; or a schedule: `cosine:1.0:0.2` from the first epoch to the last.
        epochs: of a run shorter than the configuration's, None for as long; its learning rate falls as much.
        batch_size: None: the configuration's.
    """

    mode: str
    ratio: str
    epochs: int | None = None
    batch_size: int | None = None

    @property
    def is_dense(self) -> bool:
        """Whether every point is drawn."""
        return self.ratio in ("1", "1.0")

    @property
    def is_auto(self) -> bool:
        """Whether a run chooses its ratios itself."""
        return self.ratio == AUTO

    @property
    def name(self) -> str:
        """For tables."""
        name = DENSE if self.is_dense else f"{self.mode} {self.ratio}"
        name = name if self.batch_size is None else f"{name}, batch {self.batch_size}"
        return name if self.epochs is None else f"{name}, {self.epochs} epoch{'s' * (self.epochs > 1)}"

    @property
    def folder(self) -> str:
        """For files."""
        return re.sub(r"[^A-Za-z0-9.=+]+", "-", self.name)

    def overrides(self) -> list[str]:
        """The keys of a configuration, as on the command line.

        Raises:
            UpsDataError: a ratio that is neither a number nor a schedule.
        """
        mode, _, metric = self.mode.partition(":")
        shares = ", ".join(part.replace("=", ": ") for part in mode.split("+"))
        keys = [f"query_sampling_mode={{{shares}}}" if "=" in mode else f"query_sampling_mode={mode}"]
        if metric:
            keys.append(f"importance_metric={metric}")
        schedule, *ends = self.ratio.split(":")
        if len(ends) == 2 and schedule in SCHEDULES:
            keys += [f"query_sampling_schedule={schedule}"]
            keys += [f"query_sample_start_ratio={ends[0]}", f"query_sample_end_ratio={ends[1]}"]
        elif not ends:
            keys.append(f"query_sample_ratio={self.ratio}")
        else:
            raise UpsDataError(f"ratio {self.ratio!r}: give a number, or a schedule such as cosine:1.0:0.2")
        if self.epochs is not None:
            keys.append(f"epochs={self.epochs}")
        batch_size = [] if self.batch_size is None else [f"data.batch_size={self.batch_size}"]
        return [*(f"training.{key}" for key in keys), *batch_size]


def variants(
    modes: Sequence[str], ratios: Sequence[str], also: Sequence[str] = (), dense_epochs: Sequence[int] = ()
) -> list[Variant]:
    """Dense training, and every mode at every ratio.

    Args:
        also: further ones, each "MODE RATIO" or "MODE RATIO BATCH", with a batch size of its own.
        dense_epochs: lengths of shorter dense runs.

    Raises:
        UpsDataError: one of `also` is not a mode, a ratio and perhaps a batch size.
    """
    chosen = [Variant("uniform", "1"), *(Variant("uniform", "1", epochs) for epochs in dense_epochs)]
    chosen += [Variant(mode, ratio) for ratio in ratios for mode in modes]
    for text in also:
        mode, *others = text.split()
        ratio, size = (*others, None)[:2] if others else (None, None)
        if ratio is None or len(others) > 2 or (size is not None and not (size.isdecimal() and int(size) > 0)):
            raise UpsDataError(
                f"{text!r}: give a mode and a ratio, such as 'stratified cosine:1.0:0.2', or a mode, a ratio and a "
                "batch size, such as 'stratified 0.05 4'"
            )
        chosen.append(Variant(mode, ratio, batch_size=None if size is None else int(size)))
    by_name: dict[str, Variant] = {}
    for variant in chosen:
        by_name.setdefault(variant.name, variant)
    return list(by_name.values())


def configs_of(
    config: Path, overrides: Sequence[str], chosen: Sequence[Variant], seeds: Sequence[int], out: Path
) -> dict[tuple[Variant, int], TrainConfig]:
    """The configuration of every run; the seed is that of model, order and points.

    Raises:
        UpsDataError: a configuration that is not valid, or that the dataset cannot serve.
    """
    found = {}
    for variant in chosen:
        for seed in seeds:
            folder = out / RUNS / f"{variant.folder}-seed{seed}"
            of_run = [f"training.seed={seed}", f"data.seed={seed}", f"out={folder}"]
            found[variant, seed] = load_config(config, [*overrides, *variant.overrides(), *of_run])
        loader = train_loader(found[variant, seeds[0]])  # refuses what the dataset has not
        if valid_loader(found[variant, seeds[0]], loader) is None:
            raise UpsDataError(f"{config}: no samples in the validation split to compare on: convert it with one")
    return found


class Named(Protocol):
    """A kind of run."""

    @property
    def name(self) -> str:
        """For progress and records."""


def compare(
    configs: Mapping[tuple[Named, int], TrainConfig],
    *,
    jobs: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, running: None,
) -> list[dict[str, Any]]:
    """Run what has not been run.

    Args:
        jobs: runs at once; their times are comparable only among runs that had the machine to themselves alike.
        progress: called with (steps done, steps in all, the runs under way).

    Returns:
        for every run what `run.json` in its folder holds; see `train_and_record`.

    Raises:
        UpsDataError: a run failed, or what it left is of other settings.
    """
    steps = {key: config.training.steps_in_all(len(train_loader(config))) for key, config in configs.items()}
    threads = max(1, torch.get_num_threads() // jobs)
    tasks = []
    for (variant, seed), config in configs.items():
        if not config.training.resume or _recorded(config) is None:
            arguments = (config.model_dump(mode="json"), variant.name, seed, threads)
            tasks.append(Task(f"{variant.name}, seed {seed}", train_and_record, arguments))

    def report(running: list[str]) -> None:
        taken = sum(min(_steps_taken(config), steps[key]) for key, config in configs.items())
        progress(taken, sum(steps.values()), "; ".join(running))

    run_tasks(tasks, jobs, [__name__, "ups_data.training.loop"], report)
    return [record for record in map(_recorded, configs.values()) if record is not None]


def train_and_record(values: dict[str, Any], name: str, seed: int, threads: int, stop: Callable[[], bool]) -> None:
    """One run, from its configuration's values; once it has ended, what it gave goes into `run.json`.

    That is: `name`, `seed`, `config`; `epochs` and `points` as in `history.json`; `nrmse`, `untrained_nrmse`,
    `persistence_nrmse`; `batch_bytes` and `read_bytes` of a sample.

    Args:
        threads: of torch.
        stop: true once the run is to save itself and end.
    """
    from rich.console import Console

    from ups_data.training.loop import train

    config = TrainConfig.model_validate(values)
    torch.set_num_threads(threads)
    result = train(config, console=Console(quiet=True), stop=stop)
    if not result.finished:
        return
    batch_bytes, read_bytes = sample_bytes(config)
    record = {
        "name": name,
        "seed": seed,
        "config": values,
        "epochs": result.epochs,
        "points": result.points,
        "nrmse": result.valid_nrmse,
        "untrained_nrmse": result.untrained_nrmse,
        "persistence_nrmse": result.persistence_nrmse,
        "batch_bytes": batch_bytes,
        "read_bytes": read_bytes,
    }
    with replacing(Path(config.out) / RUN) as file:
        file.write(json.dumps(record, indent=1).encode())


def sample_bytes(config: TrainConfig) -> tuple[float, float]:
    """Bytes of a sample in its batch, and bytes read for it from the store: means over the run's epochs, or of one
    where all are alike."""
    loader = train_loader(config)
    in_batches = samples = 0
    for _ in range(config.training.epochs if config.to_sampling().schedule != "constant" else 1):
        for batch in loader:
            in_batches, samples = in_batches + batch.nbytes(), samples + len(batch)
    return in_batches / samples, loader.stats.read_bytes / samples


def costs_of(
    configs: dict[tuple[Variant, int], TrainConfig],
    file: Path,
    *,
    rounds: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Costs:
    """`step_costs` of every variant: from the file, or measured and written there where the file lacks one."""
    first = {variant.name: config for (variant, _), config in reversed(configs.items())}
    found: Costs = {}
    if file.exists():
        read = json.loads(file.read_text())
        found = {name: {int(q): StepCost(*cost) for q, cost in of.items()} for name, of in read.items()}
    if not set(first) <= set(found):
        found = step_costs(dict(reversed(first.items())), rounds, progress)
        with replacing(file) as out:
            out.write(json.dumps(found, indent=1).encode())
    return found


def curve(record: dict[str, Any], costs: Costs) -> Iterator[tuple[int, float, int, float]]:
    """(steps, seconds of training, points seen, nRMSE) at every validation of a run.

    Args:
        costs: see `costs_of`; the seconds are those of as many such steps.
    """
    steps, seconds, points = 0, 0.0, 0
    for epoch in record["epochs"]:
        steps += epoch["steps"]
        seconds += epoch["steps"] * costs[record["name"]][epoch["queries"]].seconds
        points += epoch["steps"] * epoch["queries"] * record["config"]["data"]["batch_size"]
        if epoch["valid_nrmse"] is not None:
            yield steps, seconds, points, epoch["valid_nrmse"]


def _recorded(config: TrainConfig) -> dict[str, Any] | None:
    """What a run of these settings has left, if it has ended."""
    path = Path(config.out) / RUN
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    check_continues({"version": VERSION, "config": record["config"]}, config, path)
    return record


def _steps_taken(config: TrainConfig) -> int:
    path = Path(config.out) / METRICS
    return path.read_bytes().count(b'"loss"') if path.exists() else 0
