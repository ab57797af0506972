"""A model for points in any number of sets, in parts; it marks every point that it decodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.training.runs import config
from ups_data.batch import QueryBatch, QuerySet
from ups_data.training import TrainConfig


class Points(nn.Module):
    """The mean of what the encoder sees, and a network of it and of a point.

    Attributes:
        encoded: samples that were encoded.
        decoded: `(trajectory, step, set of points, point)` of every point that was decoded.
    """

    def __init__(self, channels: Mapping[str | None, Mapping[str, int]], seen: Mapping[str | None, int], dim: int):
        super().__init__()
        self.channels, self.encoded, self.decoded = channels, 0, []
        self.part = nn.ModuleDict({str(name): nn.Linear(n + dim, 8) for name, n in seen.items()})
        self.read = nn.ModuleDict(
            {
                str(name): nn.Sequential(nn.Linear(8 + dim, 16), nn.GELU(), nn.Linear(16, sum(of.values())))
                for name, of in channels.items()
            }
        )

    def encode(self, batch: QueryBatch) -> dict[str, Tensor]:
        self.encoded += len(batch)
        total = torch.zeros(len(batch), 8)
        for name, part in {batch.set_name: batch, **batch.others}.items():
            inputs = part.inputs
            seen = torch.cat([*inputs.fields.values(), inputs.coords.expand(len(batch), -1, -1)], dim=-1)
            each = self.part[str(name)](seen)
            if inputs.mask is None:
                total = total + each.mean(1)
            else:
                weight = inputs.mask[..., None].float()
                total = total + (each * weight).sum(1) / weight.sum(1)
        return {"z": total, "who": torch.stack([batch.trajectory, batch.step], dim=1)}

    def decode(self, latent: Any, queries: QuerySet, set_name: str | None = None) -> dict[str, Tensor]:
        for row, who in enumerate(latent["who"].tolist()):
            there = queries.index[row] if queries.mask is None else queries.index[row][queries.mask[row]]
            self.decoded += [(*who, set_name, point) for point in there.flatten().tolist()]
        z = latent["z"][:, None].expand(-1, queries.coords.shape[-2], -1)
        values = self.read[str(set_name)](torch.cat([z, queries.coords], dim=-1))
        of = self.channels[set_name]
        return dict(zip(of, values.split(list(of.values()), dim=-1), strict=True))

    def predict(self, batch: QueryBatch) -> dict[str, Tensor]:
        latent, found = self.encode(batch), {}
        for name, part in {batch.set_name: batch, **batch.others}.items():
            found |= self.decode(latent, part.target_queries, name)
        return found

    def losses(self, batch: QueryBatch, context: Any) -> dict[str, Tensor]:
        predicted, total = self.predict(batch), torch.zeros(())
        for part in (batch, *batch.others.values()):
            for name, values in part.target_queries.values.items():
                total = total + (predicted[name] - values).square().mean()
        return {"prediction": total}


class Whole(nn.Module):
    """The same model as one that can only predict."""

    def __init__(self, points: Points):
        super().__init__()
        self.points = points
        self.encode, self.decode = nn.Identity(), nn.Identity()  # parts of these names are no methods

    def predict(self, batch: QueryBatch) -> dict[str, Tensor]:
        return self.points.predict(batch)

    def losses(self, batch: QueryBatch, context: Any) -> dict[str, Tensor]:
        return self.points.losses(batch, context)


def clouds_model() -> Points:
    return Points({None: {"p": 1}}, {None: 1}, dim=2)


def several_model() -> Points:
    return Points({"surface": {"cp": 1}, "volume": {"flow": 2}}, {"surface": 1, "volume": 2}, dim=2)


def clouds_config(root: Path, out: Path) -> TrainConfig:
    data = {"ragged": "pad", "input_fields": ["p"], "target_fields": ["p"], "batch_size": 2, "input_queries": False}
    return config(root, out, data=data, epochs=1, query_sample_ratio=0.5)


def several_config(root: Path, out: Path) -> TrainConfig:
    drawn = {"surface": {"num_queries": 10}, "volume": {"num_queries": 20}}
    data = {"batch_size": 2, "horizon": 0, "sampling": drawn, "inputs": drawn, "input_queries": False}
    return config(root, out, data=data, epochs=1)
