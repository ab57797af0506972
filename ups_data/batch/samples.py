"""Samples before they are drawn from and copied: one by one, or by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ups_data.sampling import Domain, QuerySampling

# Fields are stored as these.
TORCH_DTYPES = {"float16": torch.float16, "float32": torch.float32}


class Memory(Protocol):
    """Where a batch's arrays come from."""

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor: ...


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of; one for all samples of a dataset.

    Attributes:
        sampling: of the query sets.
        inputs: of the encoder's own points, None: dense.
        input_queries, lattice_queries: whether these sets are drawn.
        params: names of the columns of `Sample.params`.
        memory: where the batch's arrays come from.
    """

    sampling: QuerySampling
    inputs: QuerySampling | None
    seed: int
    input_queries: bool
    lattice_queries: bool
    params: tuple[str, ...]
    memory: Memory

    @cached_property
    def lattice_sampling(self) -> QuerySampling:
        """As many points as the other sets, on a lattice."""
        return self.sampling.model_copy(update={"mode": "lattice"})


@dataclass(slots=True, eq=False)
class Sample:
    """One encoder input and its target frames: views, nothing copied yet.

    Attributes:
        domain: the points, with their coordinates `(N, d)`.
        step: number of the (last) input frame in the trajectory.
        inputs: field → S frames `(N, C)`; one for a static field.
        targets: field → K frames `(N, C)`; one where the input frame is its own target.
        target_steps: `(K,)` numbers of the target frames in the trajectory.
        dt: `(K,)` time from the input frame to each target frame.
        params: `(P,)`.
    """

    recipe: Recipe
    domain: Domain
    trajectory: int
    step: int
    epoch: int
    inputs: dict[str, list[np.ndarray]]
    targets: dict[str, list[np.ndarray]]
    target_steps: np.ndarray
    time: float
    dt: np.ndarray
    params: np.ndarray


@dataclass(slots=True, eq=False)
class SampleBlock:
    """B samples by column, so that the work in Python does not grow with samples × attributes.

    Attributes:
        domains: one for all samples, or one for each.
        inputs, targets: field → the samples' frames in one list, sample by sample, step by step.
        target_steps, dt: `(B, K)`; time: `(B,)`; params: `(B, P)`.

    The others are `Sample`'s, `(B,)`.
    """

    recipe: Recipe
    domains: list[Domain]
    epoch: int
    trajectory: np.ndarray
    step: np.ndarray
    target_steps: np.ndarray
    inputs: dict[str, list[np.ndarray]]
    targets: dict[str, list[np.ndarray]]
    time: np.ndarray
    dt: np.ndarray
    params: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    @property
    def horizon(self) -> int:
        """K, target frames of a sample."""
        return self.target_steps.shape[1]

    def part(self, start: int, stop: int) -> "SampleBlock":
        """Samples start to stop - 1."""
        return SampleBlock(
            recipe=self.recipe,
            domains=self.domains[start:stop] if len(self.domains) > 1 else self.domains,
            epoch=self.epoch,
            trajectory=self.trajectory[start:stop],
            step=self.step[start:stop],
            target_steps=self.target_steps[start:stop],
            inputs=self._frames(self.inputs, start, stop),
            targets=self._frames(self.targets, start, stop),
            time=self.time[start:stop],
            dt=self.dt[start:stop],
            params=self.params[start:stop],
        )

    def samples(self) -> list[Sample]:
        """The samples one by one."""
        return [
            Sample(
                recipe=self.recipe,
                domain=self.domains[i % len(self.domains)],
                trajectory=int(self.trajectory[i]),
                step=int(self.step[i]),
                epoch=self.epoch,
                inputs=self._frames(self.inputs, i, i + 1),
                targets=self._frames(self.targets, i, i + 1),
                target_steps=self.target_steps[i],
                time=float(self.time[i]),
                dt=self.dt[i],
                params=self.params[i],
            )
            for i in range(len(self))
        ]

    def _frames(self, columns: dict[str, list[np.ndarray]], start: int, stop: int) -> dict[str, list[np.ndarray]]:
        """The frames of samples start to stop - 1."""
        size = len(self)
        return {n: f[start * (len(f) // size) : stop * (len(f) // size)] for n, f in columns.items()}


def stack(samples: Sequence[Sample]) -> SampleBlock:
    """Samples of one dataset and epoch as a block."""
    first = samples[0]
    shared = all(s.domain is first.domain for s in samples)
    return SampleBlock(
        recipe=first.recipe,
        domains=[first.domain] if shared else [s.domain for s in samples],
        epoch=first.epoch,
        trajectory=np.array([s.trajectory for s in samples]),
        step=np.array([s.step for s in samples]),
        target_steps=np.array([s.target_steps for s in samples]),
        inputs={name: [f for s in samples for f in s.inputs[name]] for name in first.inputs},
        targets={name: [f for s in samples for f in s.targets[name]] for name in first.targets},
        time=np.array([s.time for s in samples]),
        dt=np.array([s.dt for s in samples]),
        params=np.array([s.params for s in samples]),
    )
