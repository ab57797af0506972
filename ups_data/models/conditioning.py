"""What a step is conditioned on, in numbers of order one: its length in time, and the run's parameters."""

import numpy as np
import torch
from torch import Tensor, nn

from ups_data.schema import Manifest


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
        """Times of any shape in the dataset's units → the same in units of `dt_scale`."""
        return dt / self.dt_scale

    def params(self, params: dict[str, Tensor]) -> Tensor | None:
        """name → `(B,)` as one `(B, P)`; None if there are no parameters."""
        if not self.names:
            return None
        return (torch.stack([params[name] for name in self.names], dim=-1) - self.mean) / self.std

    @classmethod
    def of_dataset(cls, manifest: Manifest, *, split: str, dt_stride: int) -> "Conditioning":
        """The statistics of a split's trajectories."""
        spec = manifest.split(split)
        gap = spec.time_step.mean * dt_stride if spec.time_step is not None else 0.0
        mean, std = ([getattr(spec.params[name], of) for name in manifest.params] for of in ("mean", "std"))
        return cls(gap if gap > 0 else 1.0, list(manifest.params), np.array(mean), np.array(std))
