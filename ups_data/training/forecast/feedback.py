"""The next input of a rollout: what was predicted, at the points that the encoder sees."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ups_data.batch import EncoderInput, QueryBatch, QuerySet
from ups_data.training.forecast.parts import SetName, sets_of


class NextInput:
    """Collects a block's last predictions and makes the next block's inputs of them.

    Args:
        batch: of the block, with its inputs and target queries.
        rolls: set of points → names of the input fields that are replaced; the others stay as they are.
        dense: the inputs are all points, in the order of the target queries: predictions are taken from there. Else
            they are asked for at the inputs' own points.
        moving: sets whose dense inputs move to where the target queries are.

    Attributes:
        queries: set of points → what must be predicted beside the target queries.
    """

    def __init__(
        self,
        batch: QueryBatch,
        rolls: Mapping[SetName, tuple[str, ...]],
        dense: bool,
        moving: frozenset[SetName],
    ) -> None:
        self._parts, self._rolls, self._moving = sets_of(batch), rolls, moving if dense else frozenset()
        self._steps = batch.dt.shape[1] if batch.dt.dim() == 2 else 0
        self._predicted: dict[SetName, dict[str, Tensor]] = {name: {} for name in self._parts}
        rolled = {name: part for name, part in self._parts.items() if rolls.get(name)}
        self.queries = {} if dense else {name: self._at_inputs(part.inputs) for name, part in rolled.items()}

    def take(self, name: SetName, start: int, values: Mapping[str, Tensor]) -> None:
        """Predictions `(B, k, Q, C)` at points start, start + 1, … of a set."""
        columns = self._parts[name].target_queries.index.shape[-1]
        for field in self._rolls.get(name, ()):
            part, kept = values[field], self._predicted[name]
            if field not in kept:
                kept[field] = part.new_zeros(*part.shape[:2], columns, part.shape[-1])
            kept[field][:, :, start : start + part.shape[2]] = part

    def give(self, name: SetName, values: Mapping[str, Tensor]) -> None:
        """Predictions at `queries` of a set, `(B, N, C)` or `(B, k, N, C)`."""
        for field in self._rolls[name]:
            part = values[field].float()
            self._predicted[name][field] = part if self._steps else part[:, None]

    def inputs(self) -> dict[SetName, EncoderInput]:
        """Set of points → its next input."""
        return {name: self._next(name, part) for name, part in self._parts.items()}

    def _next(self, name: SetName, part: QueryBatch) -> EncoderInput:
        fields = dict(part.inputs.fields)
        for field, predicted in self._predicted[name].items():
            old = fields[field]
            if old.dim() == 4:  # several input steps
                fields[field] = torch.cat([old.float(), predicted], dim=1)[:, -old.shape[1] :]
            else:
                fields[field] = predicted[:, -1]
        coords = part.inputs.coords
        if name in self._moving:
            at = part.target_queries.coords
            coords = at[:, -1] if at.dim() == 4 else at
        return replace(part.inputs, fields=fields, coords=coords)

    def _at_inputs(self, inputs: EncoderInput) -> QuerySet:
        batch = len(next(iter(inputs.fields.values())))
        lead = (batch, self._steps) if self._steps else (batch,)
        points, dim = inputs.coords.shape[-2:]
        index = torch.arange(points, device=inputs.coords.device).expand(*lead, points)
        at, mask = inputs.coords, inputs.mask
        if self._steps:
            at, mask = at[:, None], None if mask is None else mask[:, None].expand(*lead, points)
        weight = torch.ones((), device=at.device).expand(*lead, points)
        return QuerySet(at.expand(*lead, points, dim), {}, index, weight, inputs.grid_shape, mask, inputs.scale)
