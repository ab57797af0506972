"""Predictions of a batch in parts: blocks of steps of a rollout, and in each of them chunks of points."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.loader.stretches.stretches import SampleFrames
from ups_data.models.protocol import Model, check_predicted, decodes_in_parts
from ups_data.schema import Manifest
from ups_data.training.forecast.feedback import NextInput
from ups_data.training.forecast.parts import SetName, sets_of, stepped, steps_of, with_sets

Fields = Mapping[str, Tensor]
Channels = Mapping[SetName, Mapping[str, int]]


@dataclass(frozen=True)
class Piece:
    """Predictions at some points of some steps.

    Attributes:
        set_name: of the points; None for a grid and an only set.
        step: the first of the steps, from 0.
        start: the first of the points, counted in the order in which they are predicted: a column of the target
            queries, where the batch holds all.
        values: field → `(B, k, Q, C)` float32, in physical units.
        queries: the points, with a step axis, and what the target frames hold there.
        still: field → `(B, Q, C)`, what the (last) input frame holds there; None: the batch has that.
        columns: points of the set in all.
    """

    set_name: SetName
    step: int
    start: int
    values: Fields
    queries: QuerySet
    still: Fields | None
    columns: int


@dataclass(frozen=True)
class Forecast:
    """How a model predicts a batch with one or several target frames.

    Args:
        model: in evaluation mode.
        channels: set of points → field that is predicted there → its channels.
        horizon: steps that the model predicts at once, as it was trained; more are a rollout, in which what was
            predicted is the next input.
        chunk: points of a sample that are decoded at once; None: all. A model with `encode` and `decode` encodes a
            sample once; any other is asked for a prediction of every chunk.
        rolls: set of points → names of its input fields that a rollout replaces by predictions.
        dense: the encoder sees every point of a frame; else those drawn for it.
        moving: sets whose points move: the next input's positions are those of the target frame.
        fills: set of points → what its fields hold at points that do not count; of sets with such points.
    """

    model: Model
    channels: Channels
    horizon: int = 1
    chunk: int | None = None
    rolls: Mapping[SetName, tuple[str, ...]] | None = None
    dense: bool = True
    moving: frozenset[SetName] = frozenset()
    fills: Mapping[SetName, float] = field(default_factory=dict)

    def __call__(self, batch: QueryBatch, frames: Mapping[SetName, SampleFrames] | None = None) -> Iterator[Piece]:
        """The predictions, each point of each step once.

        Args:
            frames: of a batch of one sample that does not hold all points, where they are read, stretch by stretch; of
                a model with `encode` and `decode` whose encoder does not see every point.
        """
        several = batch.dt.dim() == 2
        dt = batch.dt if several else batch.dt[:, None]
        queries = {name: stepped(part.target_queries, several) for name, part in sets_of(batch).items()}
        inputs = {name: part.inputs for name, part in sets_of(batch).items()}
        size, steps = max(1, self.horizon), dt.shape[1]
        for first in range(0, steps, size):
            last = min(first + size, steps)
            since = dt[:, first - 1] if first else torch.zeros_like(dt[:, 0])
            flat = self.horizon < 2
            of_block = {name: steps_of(q, first, last, flat) for name, q in queries.items()}
            relative = dt[:, first:last] - since[:, None]
            block = with_sets(batch, of_block, inputs, dt=relative[:, 0] if flat else relative, time=batch.time + since)
            following = (
                None if last == steps else NextInput(block, self.rolls or {}, self.dense, self.moving, self.fills)
            )
            read = {} if frames is None else {n: _Read(f, slice(first, last), flat) for n, f in frames.items()}
            for name, start, columns, asked, still, predicted in self._chunks(block, following, read):
                values = {f: predicted[f].float() for f in self.channels[name]}
                values = {f: v[:, None] for f, v in values.items()} if flat else values
                if following is not None and self.dense:
                    following.take(name, start, values)
                yield Piece(name, first, start, values, stepped(asked, not flat), still, columns)
            inputs = inputs if following is None else following.inputs()

    def _chunks(
        self, batch: QueryBatch, following: NextInput | None, read: "Mapping[SetName, _Read]"
    ) -> Iterator["_Chunk"]:
        """Every chunk of a block of steps."""
        parts = sets_of(batch)
        if decodes_in_parts(self.model):
            latent = self._latent(batch)
            if following is not None:
                for name, queries in following.queries.items():
                    following.give(name, self._decoded(latent, queries, name))
            for name in self.channels:
                held = parts[name].target_queries
                columns = read[name].frames.points if name in read else held.index.shape[-1]
                before = 0
                for stretch, still in read.get(name, ((held, None),)):
                    size = stretch.index.shape[-1]
                    for start in range(0, size, self.chunk or size):
                        stop = min(start + (self.chunk or size), size)
                        asked = stretch.columns(start, stop)
                        known = None if still is None else {f: v[:, start:stop] for f, v in still.items()}
                        predicted = self._decoded(latent, asked, name)
                        yield _Chunk(name, before + start, columns, asked, known, predicted)
                    before += size
            return
        if following is not None and following.queries:
            predicted = self.model.predict(with_sets(batch, following.queries, {}))
            for name, queries in following.queries.items():
                following.give(name, self._checked(predicted, queries, name))
        sets = {name: part.target_queries for name, part in parts.items()}
        longest = max(queries.index.shape[-1] for queries in sets.values())
        for start in range(0, longest, self.chunk or longest):
            narrowed = {n: _window(q, start, start + (self.chunk or longest)) for n, q in sets.items()}
            predicted = self.model.predict(with_sets(batch, narrowed, {}))
            for name, queries in narrowed.items():
                columns = sets[name].index.shape[-1]
                if name in self.channels and start < columns:
                    of_set = self._checked(predicted, queries, name)
                    yield _Chunk(name, start, columns, queries, None, of_set)

    def _latent(self, batch: QueryBatch) -> Any:
        model: Any = self.model
        latent = model.encode(batch)
        return model.advance(latent, batch.dt, batch.params) if hasattr(type(model), "advance") else latent

    def _decoded(self, latent: Any, queries: QuerySet, name: SetName) -> Fields:
        model: Any = self.model
        return self._checked(model.decode(latent, queries, name), queries, name)

    def _checked(self, predicted: Any, queries: QuerySet, name: SetName) -> Fields:
        lead = queries.coords.shape[:-1]
        expected = {f: torch.empty(()).expand(*lead, c) for f, c in self.channels[name].items()}
        return check_predicted(predicted, expected, type(self.model).__name__)


class _Chunk(NamedTuple):
    """What a model says of some points of a block of steps, see `Piece`; a step axis only if the block has several."""

    set_name: SetName
    start: int
    columns: int
    queries: QuerySet
    still: Fields | None
    predicted: Fields


@dataclass(frozen=True)
class _Read:
    """The stretches of some steps of a sample: points, and what the input frame holds there."""

    frames: SampleFrames
    steps: slice
    flat: bool

    def __iter__(self) -> Iterator[tuple[QuerySet, Fields]]:
        several = self.steps.stop - self.steps.start > 1
        for batch in self.frames.read(self.steps):
            queries = stepped(batch.target_queries, several)
            still = {} if batch.input_queries is None else batch.input_queries.values
            yield steps_of(queries, 0, queries.index.shape[1], self.flat), still


def fills_of(manifest: Manifest) -> dict[str | None, float]:
    """Set of points → what its fields hold at points that do not count; of sets with such points."""
    masks = {name: manifest.mask(name) for name in manifest.set_names}
    return {n: float("nan") if mask.fill is None else mask.fill for n, mask in masks.items() if mask is not None}


def _window(queries: QuerySet, start: int, stop: int) -> QuerySet:
    """Some points; all as they are, with their grid; of a set that has no more points, its last one again."""
    columns = queries.index.shape[-1]
    if start == 0 and stop >= columns:
        return queries
    start = min(start, columns - 1)
    return queries.columns(start, min(max(stop, start + 1), columns))
