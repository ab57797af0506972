"""What a training step takes, in time and memory, with points chosen in each of several ways.

Other work on the machine lengthens the steps of some runs and not those of others. So each way takes a step in turn,
round by round, and what disturbs disturbs all alike.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.peak import forget_peak, peak_bytes, resident_bytes
from ups_data.batch import QueryBatch
from ups_data.errors import UpsDataError
from ups_data.models.protocol import query_sets_of
from ups_data.points.domain import Domain
from ups_data.training.config import TrainConfig
from ups_data.training.loaders import open_manifest, train_loader
from ups_data.training.noise.steps import queries_of
from ups_data.training.optimiser import Optimiser
from ups_data.training.step import batch_losses
from ups_data.training.targets import model_of

WARM_UP = 2  # rounds whose times do not count; memory is that of the last of them


class StepCost(NamedTuple):
    """`seconds`, the median, its batch included; `bytes`, the most memory above what lay there before it."""

    seconds: float
    bytes: float


Costs = dict[str, dict[int, StepCost]]


def step_costs(
    configs: dict[str, TrainConfig], rounds: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> Costs:
    """What a step takes: name → queries → cost.

    Args:
        configs: one for each way; the points of an epoch are looked at for every number of queries that it has.
        rounds: steps of each.
        progress: called with (rounds done, of all).
    """
    steps = {
        (name, queries): _steps(config, epoch)
        for name, config in configs.items()
        for queries, epoch in _epochs_by_queries(config).items()
    }
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in steps}
    memory: dict[tuple[str, int], float] = {}
    gc.collect()
    for number in range(WARM_UP + rounds):
        for key, step in steps.items():
            if number + 1 == WARM_UP:
                forget_peak()
                before = resident_bytes()
                next(step)
                memory[key] = peak_bytes() - before
                continue
            begun = time.perf_counter()
            next(step)
            if number >= WARM_UP:
                seconds[key].append(time.perf_counter() - begun)
        progress(max(0, number + 1 - WARM_UP), rounds)
    found: Costs = {}
    for (name, queries), taken in seconds.items():
        found.setdefault(name, {})[queries] = StepCost(median(taken), memory[name, queries])
    return found


def _epochs_by_queries(config: TrainConfig) -> dict[int, int]:
    """Number of queries → the first epoch that ends with it.

    Raises:
        UpsDataError: a schedule on points, whose number differs from sample to sample.
    """
    loader, sampling = train_loader(config), config.to_sampling()
    grid = loader.manifest.grid
    if grid is None:
        if sampling.schedule != "constant":
            raise UpsDataError("a schedule of ratios is timed on grids alone: give a ratio that stays")
        return {queries_of(next(iter(loader))): 0}
    domain = Domain(math.prod(grid.shape), grid.shape)
    found: dict[int, int] = {}
    for epoch in range(config.training.epochs):
        found.setdefault(sampling.num_drawn(domain, epoch + 1 - 1 / len(loader)), epoch)
    return found


def _steps(config: TrainConfig, epoch: int) -> Iterator[None]:
    """Training steps without end, on the batches of one epoch."""
    weights = config.loss_weights()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = model_of(config, open_manifest(config)).to(device)
    loader = train_loader(config, query_sets_of(model, weights))
    optimiser = Optimiser(model, config.training, len(loader), device)
    feeds_back = config.to_sampling().metric == "error"

    def step(batch: QueryBatch) -> None:
        errors: list[torch.Tensor] = []
        with optimiser.autocast():
            total, _ = batch_losses(model, batch, weights=weights, on_errors=errors.append if feeds_back else None)
        for found in errors:
            loader.feedback(batch, found)
        total.item()
        optimiser.zero_grad()
        optimiser.backward(total)
        optimiser.step()

    while True:
        batches = loader.to(device)
        batches.set_epoch(epoch)
        for batch in batches:
            step(batch)
            yield
