"""This process among the ranks of a run."""

import numpy as np
import torch
from numpy.typing import NDArray

from ups_data.errors import UpsDataError


def is_distributed() -> bool:
    """Whether `torch.distributed` is initialised."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank_and_world(rank: int | None = None, world_size: int | None = None) -> tuple[int, int]:
    """Rank and number of ranks: those given, else those of `torch.distributed`, else 0 of 1."""
    if world_size is None:
        world_size = torch.distributed.get_world_size() if is_distributed() else 1
    if rank is None:
        rank = torch.distributed.get_rank() if is_distributed() else 0
    if not 0 <= rank < world_size:
        raise UpsDataError(f"rank {rank} of world_size {world_size}: ranks count from 0 to world_size - 1")
    return rank, world_size


def summed(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over all ranks, every one of which calls this; the array itself where there are no others."""
    if not is_distributed():
        return array
    device = "cpu" if "gloo" in torch.distributed.get_backend() else "cuda"
    tensor = torch.from_numpy(array).to(device)
    torch.distributed.all_reduce(tensor)
    return tensor.cpu().numpy()
