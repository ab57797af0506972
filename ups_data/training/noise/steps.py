"""What a configuration's steps cost, by real ones of several sizes."""

import time
from collections.abc import Callable, Mapping

import torch

from ups_data.batch import QueryBatch
from ups_data.models.protocol import Model
from ups_data.store.remote.urls import is_url
from ups_data.training.config import TrainConfig
from ups_data.training.noise.costs import (
    StepCosts,
    StepMemory,
    fitted,
    fitted_memory,
    kept_bytes,
    seconds_of,
    step_clock,
)
from ups_data.training.noise.draws import Draws
from ups_data.training.step import batch_losses


def loss_of(model: Model, batch: QueryBatch, weights: Mapping[str, float]) -> torch.Tensor:
    """The sum of the model's losses, as a run weighs them."""
    return batch_losses(model, batch, weights=weights).total


def costs_of_steps(
    config: TrainConfig,
    model: Model,
    whole: Draws,
    open_draws: Callable[[str, float], Draws],
    weights: Mapping[str, float],
) -> tuple[StepCosts, StepMemory]:
    """Steps of two batch sizes, the configured one among them, with few and with more points, Adam's part included.
    Without threads of the loader, steps wait for their batches, whose making then counts."""
    most = min(config.data.batch_size, len(whole))
    least = max(1, most // 4)
    both = sorted({least, most} if least < most else {most, min(4 * most, len(whole))})
    waits = config.data.threads == 0 and config.data.num_workers == 0
    adam = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)  # it leaves the parameters as they are
    # What a store elsewhere makes a step wait is no work of the processor's.
    remote = waits and is_url(config.data.root)
    clock = time.perf_counter if remote else step_clock(next(model.parameters()).device)
    sizes, seconds, kept = [], [], []
    for ratio in (0.02, 0.1, 0.3):
        of = open_draws("uniform", ratio)
        for size in both:
            batch = of.batch(range(size))

            def step(of: Draws = of, batch: QueryBatch = batch) -> None:
                taken = of.batch(range(len(batch))) if waits else batch
                model.zero_grad(set_to_none=True)
                loss_of(model, taken, weights).backward()
                if config.training.grad_clip is not None:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), config.training.grad_clip)
                adam.step()
                if taken.time.is_cuda:
                    torch.cuda.synchronize()

            sizes.append((size, queries_of(batch)))
            seconds.append(seconds_of(step, clock))
            kept.append(batch.nbytes() + kept_bytes(model, lambda batch=batch: loss_of(model, batch, weights)))  # type: ignore[misc]
    model.zero_grad(set_to_none=True)
    return fitted(sizes, seconds), fitted_memory(sizes, kept)


def queries_of(batch: QueryBatch) -> int:
    """Target queries of a sample, of all sets of points."""
    return sum(b.target_queries.index.shape[-1] for b in (batch, *batch.others.values()))
