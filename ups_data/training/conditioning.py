"""What a step is conditioned on, in numbers of order one: its length in time, and the run's parameters."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ups_data.schema import Manifest
from ups_data.shards.shard import Shard


class Conditioning(nn.Module):
    """Time differences in units of `dt_scale`, parameters with zero mean and unit variance over the training runs.

    Args:
        dt_scale: a typical time from one step to the next, in the dataset's units of time.
        names: the parameters, in the order in which they are stacked.
        mean, std: `(P,)` over trajectories.
    """

    dt_scale: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, dt_scale: float, names: list[str], mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        self.names = list(names)
        self.register_buffer("dt_scale", torch.tensor(dt_scale, dtype=torch.float32))
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(np.where(std > 0, std, 1.0), dtype=torch.float32))

    def time(self, dt: Tensor) -> Tensor:
        return dt / self.dt_scale

    def params(self, params: dict[str, Tensor]) -> Tensor | None:
        """name → `(B,)` as one `(B, P)`; None where there are no parameters."""
        if not self.names:
            return None
        return (torch.stack([params[name] for name in self.names], dim=-1) - self.mean) / self.std

    @classmethod
    def of_dataset(cls, root: str | Path, manifest: Manifest, *, split: str, dt_stride: int) -> "Conditioning":
        """Statistics of a split's trajectories, from their tables (no field is read)."""
        steps, params = [np.empty(0)], [np.empty((0, len(manifest.params)))]
        for spec in manifest.split(split).shards:
            shard = Shard(root, manifest, spec)
            params.append(shard.params)
            steps.extend(np.diff(run) for run in np.split(shard.time, np.cumsum(spec.steps)[:-1]))
        gaps, table = np.concatenate(steps), np.concatenate(params)
        gap = float(np.median(gaps)) if gaps.size else 0.0
        return cls(gap * dt_stride if gap > 0 else 1.0, list(manifest.params), table.mean(0), table.std(0))
