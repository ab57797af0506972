"""Validation: the error of dense predictions, in physical units."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ups_data.batch import QueryBatch
from ups_data.engine.ranks import is_distributed, summed
from ups_data.models.protocol import Model, check_predicted
from ups_data.training.evaluation.metrics import nrmse
from ups_data.training.ranks.buffers import share_buffers

Fields = Mapping[str, Tensor]


class Evaluation(NamedTuple):
    """nRMSE over a split: `fields` of each field, `nrmse` their mean; `persistence` that of the persistence
    baseline, which predicts the input frame (None if the targets are not among the inputs)."""

    nrmse: float
    fields: dict[str, float]
    persistence: float | None


@torch.no_grad()
def evaluate(model: Model, batches: Iterable[QueryBatch], *, device: torch.device | str = "cpu") -> Evaluation:
    """Predict every sample of dense batches and compare.

    Where `torch.distributed` is initialised, every rank calls this with its part, and all get the figures of the whole,
    of rank 0's buffers.

    Args:
        batches: with every point of the target frames (ratio 1), such as a `QueryLoader` of the validation split.

    Returns:
        nRMSE per frame, averaged over frames, then over fields.
    """
    was_training = model.training
    model.eval()
    share_buffers(model)
    errors: dict[str, list[Tensor]] = {}
    still: list[Tensor] = []
    for batch in batches:
        batch = batch.to(device)
        sets = [batch, *batch.others.values()]
        target = {name: values.float() for part in sets for name, values in part.target_queries.values.items()}
        predicted = check_predicted(model.predict(batch), target, type(model).__name__)
        for part in sets:
            mask = part.target_queries.mask
            for name in part.target_queries.values:
                error = nrmse(_without_padding(predicted[name], mask), _without_padding(target[name], mask))
                errors.setdefault(name, []).append(_of_valid(error, batch))
        masked = batch.inputs.mask is not None and batch.inputs.grid_shape is not None
        ragged = batch.target_queries.mask is not None and not masked
        unchanged = None if batch.others or ragged else _unchanged(batch, target)
        if unchanged is not None:
            mask = batch.target_queries.mask
            each = [
                _of_valid(nrmse(_without_padding(unchanged[name].expand_as(v), mask), _without_padding(v, mask)), batch)
                for name, v in target.items()
            ]
            still.append(torch.stack(each).mean(0))
    model.train(was_training)
    fields = {name: _mean(parts) for name, parts in errors.items()}
    persistence = _mean(still) if still else None
    return Evaluation(sum(fields.values()) / len(fields), fields, persistence)


def at_points(frame: Tensor, index: Tensor) -> Tensor:
    """The values of a frame `(B, N, C)` at points `(B, Q)` or `(B, K, Q)`: `(B, Q, C)` or `(B, K, Q, C)`."""
    found = frame.gather(1, index.flatten(1)[..., None].expand(-1, -1, frame.shape[-1]))
    return found.unflatten(1, index.shape[1:])


def _without_padding(values: Tensor, mask: Tensor | None) -> Tensor:
    """`(..., Q, C)` with zeros where a row is only filled up."""
    return values if mask is None else values.masked_fill(~mask[..., None], 0.0)


def _of_valid(errors: Tensor, batch: QueryBatch) -> Tensor:
    """The errors of samples that do not only fill the batch, `(frames,)`."""
    return (errors if batch.valid is None else errors[batch.valid]).flatten()


def _mean(parts: list[Tensor]) -> float:
    """The mean over all frames, of all ranks."""
    mine = torch.cat(parts)
    if not is_distributed():
        return mine.mean().item()
    total, count = summed(np.array([mine.double().sum().item(), len(mine)]))
    return float(total / count)


def _unchanged(batch: QueryBatch, target: Fields) -> dict[str, Tensor] | None:
    """The (last) input frame of every target field, shaped to broadcast over target steps."""
    if not bool((batch.dt != 0).any()) or not set(target) <= set(batch.inputs.fields):
        return None
    found, seen = {}, batch.input_queries
    if seen is not None:  # the encoder's points are drawn, and these are all of the frame
        if not torch.equal(seen.index, batch.target_queries.index):
            return None  # other points count there
        return {
            n: seen.values[n].float()[:, None] if v.dim() == 4 else seen.values[n].float() for n, v in target.items()
        }
    for name, values in target.items():
        frame = batch.inputs.fields[name].float()
        last = frame[:, -1] if frame.dim() == 4 else frame
        if batch.inputs.mask is not None:  # of all points, and the targets are those that count
            found[name] = at_points(last, batch.target_queries.index)
        else:
            found[name] = last[:, None] if values.dim() == 4 else last
    return found
