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
        fills: set of points → what fields hold at points that do not count: of these nothing is predicted.

    Attributes:
        queries: set of points → what must be predicted beside the target queries.
    """

    def __init__(
        self,
        batch: QueryBatch,
        rolls: Mapping[SetName, tuple[str, ...]],
        dense: bool,
        moving: frozenset[SetName],
        fills: Mapping[SetName, float],
    ) -> None:
        self._parts, self._rolls, self._moving = sets_of(batch), rolls, moving if dense else frozenset()
        self._fills, self._dense = fills, dense
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
        fields, mask = dict(part.inputs.fields), part.inputs.mask
        counted = self._counted(part) if name in self._fills and mask is not None else None
        for field, predicted in self._predicted[name].items():
            old = fields[field]
            if counted is not None:
                predicted = self._filled(predicted, counted, part, self._fills[name])
            if old.dim() == 4:  # several input steps
                fields[field] = torch.cat([old.float(), predicted], dim=1)[:, -old.shape[1] :]
            else:
                fields[field] = predicted[:, -1]
        coords = part.inputs.coords
        if name in self._moving:
            at = part.target_queries.coords
            at = at if self._steps else at[:, None]
            coords = at[:, -1] if counted is None else self._scattered(at, coords[:, None], part)[:, -1]
        if counted is not None and mask is not None:
            mask = counted[:, -1] if mask.dim() == 2 else torch.cat([mask, counted], dim=1)[:, -mask.shape[1] :]
        return replace(part.inputs, fields=fields, coords=coords, mask=mask)

    def _counted(self, part: QueryBatch) -> Tensor:
        """Which points of the next input count, `(B, k, N)`: those that were asked for; at the inputs' own points those
        that count in this one."""
        mask, queries = part.inputs.mask, part.target_queries
        assert mask is not None
        last = mask if mask.dim() == 2 else mask[:, -1]
        if not self._dense:
            return last[:, None].expand(-1, max(self._steps, 1), -1)
        index = queries.index if self._steps else queries.index[:, None]
        there = torch.ones_like(index, dtype=torch.bool) if queries.mask is None else queries.mask.view(index.shape)
        counted = torch.zeros(*index.shape[:2], last.shape[-1], dtype=torch.int32, device=last.device)
        return counted.scatter_add(2, index, there.int()) > 0

    def _filled(self, predicted: Tensor, counted: Tensor, part: QueryBatch, fill: float) -> Tensor:
        """Predictions of the target queries, or at the inputs' points, as `(B, k, N, C)` of all points."""
        if not self._dense:
            return predicted.masked_fill(~counted[..., None], fill)
        whole = predicted.new_full((*predicted.shape[:2], counted.shape[-1], predicted.shape[-1]), fill)
        return self._scattered(predicted, whole, part).masked_fill(~counted[..., None], fill)

    def _scattered(self, values: Tensor, whole: Tensor, part: QueryBatch) -> Tensor:
        """Values `(B, k, Q, …)` at the target queries in the place of those of all points, `(B, k or 1, N, …)`."""
        index = part.target_queries.index if self._steps else part.target_queries.index[:, None]
        mask = part.target_queries.mask
        if mask is not None:  # a row is filled up with its first point: of these nothing is taken
            first = values[:, :, :1].expand_as(values)
            values = torch.where(mask.view(index.shape)[..., None], values, first)
            index = torch.where(mask.view(index.shape), index, index[..., :1].expand_as(index))
        whole = whole.expand(-1, values.shape[1], -1, -1)
        return whole.scatter(2, index[..., None].expand_as(values), values)

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
