"""Samples before they are drawn from and copied: one by one, or by column."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ups_data.batch.frames import Frames, Measure, Positions, joined, joined_measures, joined_positions
from ups_data.batch.wanted import Fetches
from ups_data.points.domain import Domain
from ups_data.points.unit import UnitScale
from ups_data.sampling import QuerySampling, Stream

_F = TypeVar("_F", Frames, Measure)
R = TypeVar("R", np.ndarray, list[Domain])
# Fields are stored as these.
TORCH_DTYPES = {np.dtype("float16"): torch.float16, np.dtype("float32"): torch.float32}


class Memory(Protocol):
    """Where a batch's arrays come from."""

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor."""


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of; one for all samples of a dataset.

    Attributes:
        sampling: of the query sets.
        inputs: of the encoder's own points, None: dense.
        encodes: whether the encoder sees anything of these points.
        input_queries, lattice_queries: whether these sets are drawn.
        params: names of the columns of `Sample.params`.
        fewest: where trajectories have different numbers of points, as many queries are drawn of each as of one with
            this many; None: of each its own share, in rows padded to the longest if they differ.
        repeats: how often a sample comes in an epoch, each time with other points.
        input_stride: the encoder sees every s-th point of a grid along each axis.
        memory: where the batch's arrays come from.
        pool: what makes the samples' reads; None: they have none, their frames are in memory.
        mask_moves: whether masks of points change within a trajectory.
        scale: of a point set's coordinates in batches; None: they stay as they are stored, and a grid's always do.
    """

    sampling: QuerySampling
    inputs: QuerySampling | None
    seed: int
    input_queries: bool
    lattice_queries: bool
    params: tuple[str, ...]
    memory: Memory
    fewest: int | None = None
    input_stride: int = 1
    repeats: int = 1
    pool: Fetches | None = None
    scale: UnitScale | None = None
    encodes: bool = True
    mask_moves: bool = False

    @property
    def dense(self) -> bool:
        """Whether the encoder sees whole frames."""
        return self.encodes and self.inputs is None

    def fixed(self, sampling: QuerySampling, epoch: float) -> QuerySampling:
        """The sampling with as many queries for every number of points."""
        if self.fewest is None:
            return sampling
        return sampling.with_count(sampling.count(self.fewest, epoch))

    def draws_blocks(self, sampling: QuerySampling, points: int, moment: float) -> bool:
        """Whether what is drawn of a frame of so many points lies in a part of its stored blocks."""
        reads_part = sampling.record_at(moment).reads_part_of_blocks
        return reads_part and self.fixed(sampling, moment).count(points, moment) < points

    @cached_property
    def lattice_sampling(self) -> QuerySampling:
        """As many points as the other sets, on a lattice."""
        return self.sampling.as_lattice()


@dataclass(slots=True, eq=False)
class Sample:
    """One encoder input and its target frames: nothing copied yet, frames are read when they are indexed.

    Attributes:
        domain: the points.
        step: number of the (last) input frame in the trajectory.
        repetition: which time in its epoch this sample comes.
        inputs: field → S frames `(N, C)`; one for a static field.
        targets: field → K frames `(N, C)`; one where the input frame is its own target.
        input_positions, target_positions: of a point set in the (last) input frame and in each target frame; None for
            a grid.
        moment: the epoch, with schedules by step epoch + step ÷ steps per epoch.
        importance: of the draws that look at it, `(frames, K)` of the tiles of each frame.
        measures: of the query sets whose weights estimate integrals, the cells of each frame.
        masks: see `SampleBlock`.
        target_steps: `(K,)` numbers of the target frames in the trajectory.
        dt: `(K,)` time from the input frame to each target frame.
        params: `(P,)`.
        valid: False where the sample only fills a batch: see `QueryBatch.valid`.
    """

    recipe: Recipe
    domain: Domain
    trajectory: int
    step: int
    repetition: int
    epoch: int
    moment: float
    inputs: dict[str, Sequence[np.ndarray]]
    targets: dict[str, Sequence[np.ndarray]]
    input_positions: Positions | None
    target_positions: Positions | None
    target_steps: np.ndarray
    time: float
    dt: np.ndarray
    params: np.ndarray
    importance: dict[Stream, np.ndarray] = field(default_factory=dict)
    valid: bool = True
    measures: dict[Stream, Measure] = field(default_factory=dict)
    masks: dict[Stream, list[Domain]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class SampleBlock:
    """B samples by column, so that the work in Python does not grow with samples × attributes.

    Attributes:
        domains: one for all samples, or one for each.
        inputs, targets: field → the samples' frames, sample by sample, step by step; positions likewise.
        masks: stream → the points of each frame, sample by sample, step by step, of which only those that count are
            drawn where it is a `Part` (of dense inputs: that are masked beside them); {}: all points count.
        target_steps, dt: `(B, K)`; time: `(B,)`; params: `(B, P)`.
        valid: `(B,)` bool; None: all are.
        batch_sizes: samples of each batch of the block, which share their points where the sampling says so; None: all
            are one batch.

    The others are `Sample`'s, `(B,)`.
    """

    recipe: Recipe
    domains: list[Domain]
    epoch: int
    moment: float
    trajectory: np.ndarray
    step: np.ndarray
    repetition: np.ndarray
    target_steps: np.ndarray
    inputs: dict[str, Frames]
    targets: dict[str, Frames]
    input_positions: Positions | None
    target_positions: Positions | None
    time: np.ndarray
    dt: np.ndarray
    params: np.ndarray
    importance: dict[Stream, np.ndarray] = field(default_factory=dict)
    masks: dict[Stream, list[Domain]] = field(default_factory=dict)
    valid: np.ndarray | None = None
    batch_sizes: Sequence[int] | None = None
    measures: dict[Stream, Measure] = field(default_factory=dict)

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
            moment=self.moment,
            trajectory=self.trajectory[start:stop],
            step=self.step[start:stop],
            repetition=self.repetition[start:stop],
            target_steps=self.target_steps[start:stop],
            inputs={n: self._frames(f, start, stop) for n, f in self.inputs.items()},
            targets={n: self._frames(f, start, stop) for n, f in self.targets.items()},
            input_positions=self.input_positions and self.input_positions.part(start, stop),
            target_positions=(
                self.target_positions and self.target_positions.part(start * self.horizon, stop * self.horizon)
            ),
            time=self.time[start:stop],
            dt=self.dt[start:stop],
            params=self.params[start:stop],
            masks={s: self._rows(domains, start, stop) for s, domains in self.masks.items()},
            importance={s: self._rows(rows, start, stop) for s, rows in self.importance.items()},
            valid=None if self.valid is None else self.valid[start:stop],
            measures={s: self._frames(m, start, stop) for s, m in self.measures.items()},
        )

    def samples(self) -> list[Sample]:
        """The samples one by one."""
        parts = [self.part(i, i + 1) for i in range(len(self))]
        return [
            Sample(
                recipe=part.recipe,
                domain=part.domains[0],
                trajectory=int(part.trajectory[0]),
                step=int(part.step[0]),
                repetition=int(part.repetition[0]),
                epoch=part.epoch,
                moment=part.moment,
                inputs=dict(part.inputs),
                targets=dict(part.targets),
                input_positions=part.input_positions,
                target_positions=part.target_positions,
                target_steps=part.target_steps[0],
                time=float(part.time[0]),
                dt=part.dt[0],
                params=part.params[0],
                importance=part.importance,
                masks=part.masks,
                valid=part.valid is None or bool(part.valid[0]),
                measures=part.measures,
            )
            for part in parts
        ]

    def _frames(self, frames: _F, start: int, stop: int) -> _F:
        """The frames of samples start to stop - 1."""
        of_sample = len(frames) // len(self)
        return frames.part(start * of_sample, stop * of_sample)

    def _rows(self, rows: R, start: int, stop: int) -> R:
        """The rows of samples start to stop - 1."""
        of_sample = len(rows) // len(self)
        return rows[start * of_sample : stop * of_sample]


def stack(samples: Sequence[Sample]) -> SampleBlock:
    """Samples of one dataset and epoch as a block."""
    first, points = samples[0], [s.domain.num_points for s in samples]
    shared = all(s.domain is first.domain for s in samples)
    return SampleBlock(
        recipe=first.recipe,
        domains=[first.domain] if shared else [s.domain for s in samples],
        epoch=first.epoch,
        moment=first.moment,
        trajectory=np.array([s.trajectory for s in samples]),
        step=np.array([s.step for s in samples]),
        repetition=np.array([s.repetition for s in samples]),
        target_steps=np.array([s.target_steps for s in samples]),
        inputs={n: joined([s.inputs[n] for s in samples], points, n) for n in first.inputs},
        targets={n: joined([s.targets[n] for s in samples], points, n) for n in first.targets},
        input_positions=joined_positions([s.input_positions for s in samples]),
        target_positions=joined_positions([s.target_positions for s in samples]),
        time=np.array([s.time for s in samples]),
        dt=np.array([s.dt for s in samples]),
        params=np.array([s.params for s in samples]),
        masks={s: [domain for sample in samples for domain in sample.masks[s]] for s in first.masks},
        importance={s: np.concatenate([sample.importance[s] for sample in samples]) for s in first.importance},
        valid=None if all(s.valid for s in samples) else np.array([s.valid for s in samples]),
        measures={s: joined_measures([sample.measures[s] for sample in samples]) for s in first.measures},
    )
