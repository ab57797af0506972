"""A model that knows nothing of this project's: what an outside package would have."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Pointwise(nn.Module):
    """A multilayer perceptron of each point's coordinates and the nearest value of a one-channel grid."""

    def __init__(self, name: str, mean: float, std: float, width: int = 32) -> None:
        super().__init__()
        self.name, self.mean, self.std = name, mean, std
        self.net = nn.Sequential(nn.Linear(4, width), nn.GELU(), nn.Linear(width, 1))

    def at(self, batch: Any) -> Tensor:
        ny, nx = batch.inputs.grid_shape
        points = batch.target_queries.coords
        u = ((batch.inputs.fields[self.name] - self.mean) / self.std).view(-1, ny, nx)
        x, y = ((points[..., 0] * (nx - 1)).round().long(), (points[..., 1] * (ny - 1)).round().long())
        near = u[torch.arange(len(u))[:, None], y, x]
        left = u[torch.arange(len(u))[:, None], y, (x - 1) % nx]
        return self.net(torch.cat([points, near[..., None], left[..., None]], dim=-1)) + near[..., None]

    def losses(self, batch: Any, context: Any) -> dict[str, Tensor]:
        targets = batch.target_queries
        error = self.at(batch) - (targets.values[self.name] - self.mean) / self.std
        if context.on_errors is not None:
            context.on_errors(error.detach().abs().mean(-1))
        losses = {"mine": context.weights.get("mine", 1.0) * (targets.weight[..., None] * error.square()).mean()}
        return losses

    def predict(self, batch: Any) -> dict[str, Tensor]:
        return {self.name: self.at(batch) * self.std + self.mean}


def build(manifest: Any, options: Mapping[str, Any], data: Any) -> Pointwise:
    name = (data.target_fields or [manifest.fields[0].name])[0]
    statistics = manifest.split(data.train_split).statistics[name]
    return Pointwise(name, statistics.mean[0], statistics.std[0], **options)


class Mute(nn.Linear):
    """Has neither losses nor predictions."""


def mute(manifest: Any, options: Mapping[str, Any], data: Any) -> nn.Module:
    return Mute(1, 1)


def nothing(manifest: Any, options: Mapping[str, Any], data: Any) -> str:
    return "a name"
