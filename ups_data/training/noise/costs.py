"""What a training step costs: a fixed part, a part of each sample, and a part of each query."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

REPEATS, MOST = 5, 30  # of a step
ENOUGH = 0.3  # seconds after which a step is not repeated any more


@dataclass(frozen=True)
class StepCosts:
    """Seconds of a step of B samples with Q queries each: `fixed + B * (encoder + Q * per_query)`.

    Attributes:
        encoder: of a sample, whatever is done with it before and beside its queries.
        misfit: root mean square of fitted ÷ measured time, minus 1.
    """

    fixed: float
    encoder: float
    per_query: float
    misfit: float

    def step(self, batch_size: float, queries: float) -> float:
        """Seconds of a step."""
        return self.fixed + batch_size * (self.encoder + queries * self.per_query)


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a step of B samples with Q queries each keeps from its forward pass until its backward pass, its batch
    included: `fixed + B * (sample + Q * per_query)`. What lies there anyway (parameters, gradients, the optimiser's
    state) is not among them, nor are the temporary results of single operations."""

    fixed: float
    sample: float
    per_query: float

    def step(self, batch_size: float, queries: float) -> float:
        """Bytes of a step."""
        return self.fixed + batch_size * (self.sample + queries * self.per_query)


def kept_bytes(model: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass keeps for the backward pass, the parameters apart; what is kept twice counts once.

    Args:
        forward: returns the loss.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward()
    total = sum(kept.values())
    del loss  # until here all that was kept has addresses of its own
    return total


def fitted_memory(sizes: Sequence[tuple[int, int]], taken: Sequence[float]) -> StepMemory:
    """The memory that fits measured steps best, as `fitted`."""
    found = fitted(sizes, taken)
    return StepMemory(found.fixed, found.encoder, found.per_query)


def fitted(sizes: Sequence[tuple[int, int]], seconds: Sequence[float]) -> StepCosts:
    """The costs that fit measured steps best, none below 0: each step by its own share, or the long ones would decide.

    Args:
        sizes: (B, Q) of each step.
        seconds: that it took.
    """
    measured = np.maximum(np.asarray(seconds, float), 1e-30)
    rows = np.array([(1.0, size, size * queries) for size, queries in sizes]) / measured[:, None]
    scale = rows.max(0)  # or the fit would look at the queries alone
    found, misfit = _least_squares(rows / scale, np.ones(len(rows)))
    fixed, encoder, per_query = (found / scale).tolist()
    return StepCosts(fixed, encoder, per_query, misfit)


def seconds_of(step: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The least time of a step, after one that is not counted: what else the machine does only adds to it."""
    step()
    taken: list[float] = []
    while len(taken) < REPEATS or (sum(taken) < ENOUGH and len(taken) < MOST):
        begun = clock()
        step()
        taken.append(clock() - begun)
    return min(taken)


def step_clock(device: torch.device) -> Callable[[], float]:
    """Seconds of the wall; of the processor if one thread computes: what others take from it is no part of a step."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def _least_squares(rows: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, float]:
    """The best coefficients of which none is below 0, and the root mean square of what they leave: the best of all
    subsets of columns whose own least squares are not below 0, which is exact and fast for three."""
    best, least = np.zeros(rows.shape[1]), float(np.sqrt(np.mean(seconds**2)))
    for count in range(1, rows.shape[1] + 1):
        for columns in combinations(range(rows.shape[1]), count):
            found = np.linalg.lstsq(rows[:, columns], seconds, rcond=None)[0]
            misfit = float(np.sqrt(np.mean((rows[:, columns] @ found - seconds) ** 2)))
            if (found >= 0).all() and misfit < least:
                best, least = np.zeros(rows.shape[1]), misfit
                best[list(columns)] = found
    return best, least
