"""`measure_noise`: the noise of a configuration's gradient and the cost of its steps, by real passes on real data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ups_data.errors import UpsDataError
from ups_data.models.protocol import query_sets_of
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig
from ups_data.training.device import device_of
from ups_data.training.latents.start import started
from ups_data.training.loaders import open_manifest
from ups_data.training.noise.costs import StepCosts, StepMemory
from ups_data.training.noise.draws import Draws
from ups_data.training.noise.gradients import (
    GradientNoise,
    as_adam_sees,
    between_samples,
    gradient_of,
    within_samples,
)
from ups_data.training.noise.steps import costs_of_steps, loss_of
from ups_data.training.noise.trial import after_steps
from ups_data.training.runs.rng import seed_all
from ups_data.training.runs.trained import weights_of
from ups_data.training.targets import model_of

RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5)
SAMPLES, DRAWS = 24, 2
NO_MEMORY = StepMemory(0.0, 0.0, 0.0)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Noise:
    """What was measured.

    Attributes:
        gradient: its variance between and within samples.
        costs: of a step.
        points: N, of a sample: of the largest, of all sets together.
        split_samples: of the training split.
        left_out: mode → why it was not measured.
        memory: of a step.
        scaled: the same of the gradient as Adam sees it (see `as_adam_sees`), by which settings are compared; None:
            by the gradient itself.
        after: optimiser steps that the model had taken for it.
    """

    gradient: GradientNoise
    costs: StepCosts
    points: int
    split_samples: int
    left_out: dict[str, str]
    memory: StepMemory = NO_MEMORY
    scaled: GradientNoise | None = None
    after: int = 0

    @property
    def judged(self) -> GradientNoise:
        """The noise by which settings are compared."""
        return self.gradient if self.scaled is None else self.scaled

    def to_json(self) -> dict[str, Any]:
        """`between`, `within` (mode → ratio → σ_w²), `seconds`, and what they are to be judged by; under `adam`, noise
        and signal as Adam sees them."""
        c = self.costs
        return {
            **_variances(self.gradient),
            "adam": None if self.scaled is None else _variances(self.scaled),
            "samples": self.gradient.samples,
            "after": self.after,
            "points": self.points,
            "seconds": {"encoder": c.encoder, "per_query": c.per_query, "fixed": c.fixed},
            "misfit": c.misfit,
            "bytes": dict(vars(self.memory)),
            "left_out": self.left_out,
        }


def _variances(g: GradientNoise) -> dict[str, Any]:
    return {
        "between": g.between,
        "between_error": g.between_error,
        "within": {mode: {f"{r:g}": w.variance for r, w in of.items()} for mode, of in g.within.items()},
        "within_error": {mode: {f"{r:g}": w.error for r, w in of.items()} for mode, of in g.within.items()},
        "signal": g.signal,
    }


def measure_noise(
    config: TrainConfig,
    *,
    run: str | Path | None = None,
    model: nn.Module | None = None,
    modes: Sequence[str] | None = None,
    ratios: Sequence[float] = RATIOS,
    samples: int = SAMPLES,
    draws: int = DRAWS,
    also: Sequence[str] = (),
    after: int = 0,
    progress: Progress = lambda done, total: None,
) -> Noise:
    """Measure on the training split, with the configuration's model, losses and data.

        noise = measure_noise(load_config("train.yaml", []), run="runs/train")
        noise.gradient.between, noise.gradient.within["stratified"][0.1].variance

    Args:
        run: folder of a run whose weights the model gets: noise changes as training goes on. None: a new model.
        model: measured as it is, instead of the one that the configuration names and begins with.
        modes: None: all that the dataset can be drawn in.
        ratios: queries ÷ points.
        samples: how many, chosen at random; draws: of each, by mode and ratio.
        also: further modes.
        after: optimiser steps that a copy of the model takes first, as the run would (see `after_steps`).
        progress: called with (what is done, of how much): those steps, and gradients.

    Raises:
        UpsDataError: a checkpoint of another model or another dataset, fewer than 2 samples or trajectories, losses
            that need every point or query none, a ratio that is not between 0 and 1 or draws every point.
    """
    manifest, device = open_manifest(config), device_of(config.training.device)
    seed_all(config.training.seed)
    made = model_of(config, manifest, model).to(device)
    if model is None:
        made = started(made, config if run is None else _begun(config))
    if run is not None:
        weights_of(run, made, trained_on=manifest)
    weights, query_sets = config.loss_weights(), query_sets_of(made, config.loss_weights())

    def open_draws(mode: str, ratio: float) -> Draws:
        return Draws(config, manifest, config.training.measured(ratio, mode), query_sets, device)

    names = dict.fromkeys([*(measurable_modes(manifest) if modes is None else modes), *also])
    points = sum(manifest.max_points(config.data.train_split, name) for name in manifest.set_names)
    _check_ratios(ratios, points)
    left_out: dict[str, str] = {}
    opened: dict[str, dict[float, Draws]] = {}
    for mode in names:
        try:
            opened[mode] = {ratio: open_draws(mode, ratio) for ratio in ratios}
        except UpsDataError as error:
            if modes is not None or mode in also:
                raise
            left_out[mode] = str(error)
    every = config.training.measured(1.0, "uniform").model_copy(update={"off_grid": False})
    whole = Draws(config, manifest, every, query_sets, device)
    _check_enough(config, manifest, len(whole), samples)
    numbers = np.random.default_rng(config.training.seed).permutation(len(whole))[:samples].tolist()
    gradients, taken = len(numbers) * (1 + len(opened) * len(ratios) * draws), 0
    if after > 0:
        made, taken = after_steps(config, made, after, device, lambda k, of: progress(k, of + gradients))
    total, done = taken + gradients, taken

    def gradient(of: Draws, number: int, draw: int) -> torch.Tensor:
        nonlocal done
        done += 1
        progress(done, total)
        torch.manual_seed(1_000_003 * draw + number)  # a draw's random choices of the model are the same in all modes
        return gradient_of(made, loss_of(made, of.batch([number], draw), weights))

    dense = [[gradient(whole, number, 0)] for number in numbers]
    least = 1e-10 * float(np.mean([float(g.square().sum()) for [g] in dense]))  # above what rounding may do
    if draws > 1 and float((gradient(whole, numbers[0], 1) - dense[0][0]).square().sum()) > least:
        total += len(numbers) * (draws - 1)
        dense = [[g, *(gradient(whole, n, k) for k in range(1, draws))] for n, [g] in zip(numbers, dense, strict=True)]
    first = [of_sample[0] for of_sample in dense]
    scale = as_adam_sees(first)
    found, scaled = between_samples(first), between_samples([g * scale for g in first])
    both = {
        mode: {
            ratio: within_samples(dense, lambda n, d, of=of: gradient(of, numbers[n], d), draws, scale)  # type: ignore[misc]
            for ratio, of in of_mode.items()
        }
        for mode, of_mode in opened.items()
    }
    within, seen = ({mode: {r: w[k] for r, w in of.items()} for mode, of in both.items()} for k in (0, 1))
    if within and all(w.variance <= least for of in within.values() for w in of.values()):
        raise UpsDataError(
            "the gradient is the same whichever points are drawn, so this model's losses query none: give it losses on "
            "batch.target_queries, or train it on all points"
        )
    costs, memory = costs_of_steps(config, made, whole, open_draws, weights)
    whole_noise, as_seen = replace(found, within=within), replace(scaled, within=seen)
    return Noise(whole_noise, costs, points, len(whole), left_out, memory, as_seen, taken)


def _begun(config: TrainConfig) -> TrainConfig:
    """The configuration of a run that has weights of its own by now."""
    return config.model_copy(update={"training": config.training.model_copy(update={"start_from": None})})


def _check_ratios(ratios: Sequence[float], points: int) -> None:
    """Refuse what is no ratio, and ratios that draw every point.

    Raises:
        UpsDataError: one line.
    """
    if not all(0 < ratio < 1 for ratio in ratios) or not ratios:
        raise UpsDataError(f"ratios {list(ratios)}: give numbers between 0 and 1; all points are measured anyway")
    for ratio in ratios:
        if round(ratio * points) >= points:
            raise UpsDataError(
                f"ratio {ratio:g}: of {points:,} points that is all, which are measured anyway: leave it out"
            )


def _check_enough(config: TrainConfig, manifest: Manifest, there: int, samples: int) -> None:
    """Refuse to measure noise between samples that are too few, or of one run.

    Raises:
        UpsDataError: one line.
    """
    split = config.data.train_split
    if manifest.split(split).num_trajectories < 2:
        raise UpsDataError(
            f"{config.data.root}: one trajectory in split {split!r}, so nothing is known of the noise between "
            "trajectories: convert at least 2, or name another split as data.train_split"
        )
    if there < 2 or samples < 2:
        raise UpsDataError(f"{there} samples in split {split!r}: noise needs at least 2 of them")


def measurable_modes(manifest: Manifest) -> list[str]:
    """Those that the dataset can be drawn in."""
    stored = ["importance"] if manifest.importance else []
    return ["uniform", "stratified", *(["blocks"] if manifest.blocks > 1 else []), *stored]
