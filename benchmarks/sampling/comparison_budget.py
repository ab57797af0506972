"""Ways of choosing points at equal wall-clock time, each with its best learning rate of the same small grid.

Steps of every way are timed first, in turn. Each way then gets as many steps as fit into the budget, and its learning
rate's schedule ends with them. Every way is trained with each rate of the grid on the first seed, and with the best of
them on the other seeds. Validation does not count. What has ended is kept, run by run, and so are the timings.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.sampling.comparison import RUNS, Variant, compare, configs_of
from benchmarks.sampling.comparison_auto import Lengths, guessed_seconds, seconds_taken, to_time
from benchmarks.sampling.comparison_times import Costs, StepCost, step_costs
from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.loaders import train_loader

RATES = (0.5, 1.0, 2.0)  # times the configuration's
LEAST_STEPS = 10
FRACTIONS = (1 / 2, 1 / 4, 1 / 8, 1 / 16)  # of the budget, in which dense training's error is looked for
HEADER = ("points", "rate", "steps", "nRMSE ± sd", "of dense", "time to dense's error")


@dataclass(frozen=True)
class Trial:
    """A way of choosing points with a learning rate and a time.

    Attributes:
        rate: times the configuration's.
        seconds: of training.
    """

    variant: Variant
    rate: float
    seconds: float

    @property
    def name(self) -> str:
        """For the progress bar."""
        return f"{self.variant.name}, rate {self.rate:g}, {self.seconds:g} s"

    def folder(self, seed: int, steps: int) -> str:
        """Of the run; the steps name those that are of several lengths."""
        length = f"-{steps}steps" if self.variant.is_auto else ""
        return f"{self.variant.folder}-rate{self.rate:g}-{self.seconds:g}s{length}-seed{seed}"


@dataclass(frozen=True)
class Row:
    """One way at equal time, means over seeds.

    Attributes:
        rate: the best of the grid.
        spread: sample standard deviation of nRMSE over seeds, 0 for one.
        to_dense: the smallest part of the budget in which dense training's final error was reached; inf: none was
            looked at or reached it.
        errors: nRMSE of each seed.
        curve: seconds of training → nRMSE of runs of that length, means over the seeds that were run; see `rows`.
    """

    name: str
    rate: float
    steps: int
    nrmse: float
    spread: float
    of_dense: float
    to_dense: float
    errors: list[float]
    curve: dict[float, float]

    def cells(self) -> tuple[str, ...]:
        """As in `HEADER`."""
        error = f"{self.nrmse:.4f} ± {self.spread:.4f}" if self.spread else f"{self.nrmse:.4f}"
        to_dense = f"{self.to_dense:.3g}" if math.isfinite(self.to_dense) else "–"
        return self.name, f"{self.rate:g}", str(self.steps), error, f"{self.of_dense:.2f}", to_dense


class Budget:
    """A comparison at equal time; `rows` runs what has not been run.

    Args:
        config, overrides: of every run.
        chosen: ways of choosing points; dense training must be among them.
        seconds: of training, for each run.
        out: receives the runs.
        costs: of a step of each way.

    Raises:
        UpsDataError: a budget in which some way has no ten steps.
    """

    def __init__(
        self,
        config: Path,
        overrides: Sequence[str],
        chosen: Sequence[Variant],
        seeds: Sequence[int],
        seconds: float,
        out: Path,
        costs: Costs,
        *,
        rates: Sequence[float] = RATES,
        jobs: int = 1,
        progress: Callable[[int, int, str], None] = lambda done, total, running: None,
    ) -> None:
        self.config, self.overrides, self.chosen, self.seeds = config, list(overrides), list(chosen), list(seeds)
        self.seconds, self.out, self.rates, self.jobs, self.progress = seconds, out, list(rates), jobs, progress
        self.timed = timed = {name: mean(cost.seconds for cost in of.values()) for name, of in costs.items()}
        self.step_seconds = {v.name: guessed_seconds(v, timed) if v.is_auto else timed[v.name] for v in chosen}
        slowest = max(self.step_seconds, key=lambda name: self.step_seconds[name])
        least = LEAST_STEPS * self.step_seconds[slowest]
        if seconds < least:
            raise UpsDataError(
                f"--budget {seconds:g}: {slowest} takes {self.step_seconds[slowest]:.3g} s a step, and {LEAST_STEPS} "
                f"steps are the least that says anything: give at least {least:.2g}"
            )
        self.tuned: dict[Variant, tuple[float, list[float]]] = {}  # best rate, errors of all seeds
        self.errors: dict[tuple[Trial, int], float] = {}  # of every run
        self.taken: dict[Trial, list[int]] = {}  # steps of its runs

    def rows(self, *, to_dense: bool = False, curves: bool = False) -> list[Row]:
        """A row for each way, in the order given.

        Args:
            to_dense: shorter runs too, with the rate that was best at full length, until one misses dense training's
                final error (or the fractions are used up).
            curves: shorter runs of every way, dense training too, on the first seed, each with a schedule of its own.
        """
        first, others = self.seeds[0], self.seeds[1:]
        tuning = self._run([(Trial(v, rate, self.seconds), first) for v in self.chosen for rate in self.rates])
        for variant in self.chosen:
            errors = {rate: tuning[Trial(variant, rate, self.seconds), first] for rate in self.rates}
            best = min(errors, key=lambda rate: errors[rate])
            self.tuned[variant] = best, [errors[best]]
        more = self._run([(Trial(v, self.tuned[v][0], self.seconds), seed) for v in self.chosen for seed in others])
        for (trial, _), error in more.items():
            self.tuned[trial.variant][1].append(error)
        dense = min(mean(self.tuned[v][1]) for v in self.chosen if v.is_dense)
        reached = self._times_to(dense) if to_dense else {}
        if curves:
            lengths = [(v, fraction * self.seconds) for fraction in FRACTIONS for v in self.chosen]
            long_enough = [(v, s) for v, s in lengths if self._steps(v, s) >= LEAST_STEPS]
            self._run([(Trial(v, self.tuned[v][0], seconds), first) for v, seconds in long_enough])
        return [self._row(variant, dense, reached) for variant in self.chosen]

    def _times_to(self, error: float) -> dict[Variant, float]:
        """Way → the smallest part of the budget in which it reached an error."""
        found = {v: 1.0 for v in self.chosen if mean(self.tuned[v][1]) <= error}
        left = [v for v in found if not v.is_dense]
        for fraction in FRACTIONS:
            left = [v for v in left if self._steps(v, fraction * self.seconds) >= LEAST_STEPS]
            trials = {v: Trial(v, self.tuned[v][0], fraction * self.seconds) for v in left}
            errors = self._run([(trial, seed) for trial in trials.values() for seed in self.seeds])
            left = [v for v in left if mean(errors[trials[v], seed] for seed in self.seeds) <= error]
            found |= dict.fromkeys(left, fraction)
        return found

    def _row(self, variant: Variant, dense: float, reached: Mapping[Variant, float]) -> Row:
        rate, errors = self.tuned[variant]
        spread = stdev(errors) if len(errors) > 1 else 0.0
        steps = round(mean(self.taken[Trial(variant, rate, self.seconds)]))
        to_dense = reached.get(variant, math.inf)
        of_length: dict[float, list[float]] = {}
        for (trial, _), error in self.errors.items():
            if trial.variant == variant and trial.rate == rate:
                of_length.setdefault(trial.seconds, []).append(error)
        curve = {seconds: mean(of_length[seconds]) for seconds in sorted(of_length)}
        return Row(variant.name, rate, steps, mean(errors), spread, mean(errors) / dense, to_dense, list(errors), curve)

    def _run(self, trials: Sequence[tuple[Trial, int]]) -> dict[tuple[Trial, int], float]:
        """The error of each run; those that choose their ratios are repeated with other lengths until one fits."""
        found: dict[tuple[Trial, int], dict[int, float]] = {key: {} for key in trials}
        lengths = {(t, seed): Lengths(self._steps(t.variant, t.seconds), t.seconds) for t, seed in trials}
        left = list(lengths)
        while left:
            configs = {key: self._config(*key, lengths[key].steps) for key in left}
            records = dict(zip(configs, compare(configs, jobs=self.jobs, progress=self.progress), strict=True))
            for key, record in records.items():
                found[key][lengths[key].steps] = float(record["nrmse"])
            left = [key for key, record in records.items() if not self._fits(key[0], lengths[key], record)]
        for trial, seed in lengths:
            self.taken.setdefault(trial, []).append(lengths[trial, seed].steps)
        errors = {key: found[key][length.steps] for key, length in lengths.items()}
        self.errors |= errors
        return errors

    def _fits(self, trial: Trial, length: Lengths, record: Mapping[str, Any]) -> bool:
        return not trial.variant.is_auto or length.fits(seconds_taken(trial.variant, record, self.timed))

    def _steps(self, variant: Variant, seconds: float) -> int:
        """That fit; of runs that choose their ratios, as many as fitted into a second before, on average."""
        if variant.is_auto:
            before = [count / t.seconds for t, counts in self.taken.items() if t.variant == variant for count in counts]
            if before:
                return int(seconds * mean(before))
        return int(seconds / self.step_seconds[variant.name])

    def _config(self, trial: Trial, seed: int, steps: int) -> TrainConfig:
        keys = [*self.overrides, *trial.variant.overrides()]
        plain = load_config(self.config, keys)
        epochs = math.ceil(steps / len(train_loader(plain)))
        settings = plain.training
        of_run = {
            "training.lr": settings.lr * trial.rate,
            "training.lr_warmup_steps": min(settings.lr_warmup_steps, steps // 10),
            "training.epochs": epochs,
            "training.max_steps": steps,
            "training.validate_every": epochs,
            "training.seed": seed,
            "data.seed": seed,
            "out": self.out / RUNS / trial.folder(seed, steps),
        }
        return load_config(self.config, [*keys, *(f"{name}={value}" for name, value in of_run.items())])


def with_batch_sizes(chosen: Sequence[Variant], sizes: Sequence[int]) -> list[Variant]:
    """Every way with each batch size; none given: as they are."""
    return [replace(variant, batch_size=size) for variant in chosen for size in sizes] if sizes else list(chosen)


def kept_costs(
    config: Path,
    overrides: Sequence[str],
    chosen: Sequence[Variant],
    out: Path,
    *,
    rounds: int,
    given: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Costs:
    """`step_costs` of every way; of `auto`, those of each ratio that it may choose. Those in `out/costs.json` are kept,
    since the lengths of runs follow from them.

    Args:
        given: seconds of a step that are known, by way; those are not timed.
    """
    file = out / "costs.json"
    found: Costs = {}
    if file.exists():
        read = json.loads(file.read_text())
        found = {name: {int(q): StepCost(*cost) for q, cost in of.items()} for name, of in read.items()}
    found |= {name: {0: StepCost(seconds, 0.0)} for name, seconds in (given or {}).items()}
    missing = [variant for variant in to_time(chosen) if variant.name not in found]
    configs_of(config, overrides, [variant for variant in chosen if variant.is_auto], [0], out)  # refuses before timing
    if missing:
        configs = configs_of(config, overrides, missing, [0], out)
        found |= step_costs({variant.name: made for (variant, _), made in configs.items()}, rounds, progress)
    if missing or given:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(file) as written:
            written.write(json.dumps(found, indent=1).encode())
    return found


def read_step_seconds(file: Path) -> dict[str, float]:
    """Seconds of a step, by way: a JSON file with one object of numbers.

    Raises:
        UpsDataError: it is something else.
    """
    try:
        read = json.loads(file.read_text())
        found = {str(name): float(seconds) for name, seconds in read.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        found = {}
    if not found or not all(0 < seconds < math.inf for seconds in found.values()):
        raise UpsDataError(f'{file}: give seconds of a step, by way, such as {{"dense": 0.14, "stratified 0.1": 0.02}}')
    return found


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain values; null where dense training's error was not reached."""
    return [{**vars(row), "to_dense": row.to_dense if math.isfinite(row.to_dense) else None} for row in rows]
