"""This process among the ranks of a run."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ups_data.errors import UpsDataError


class Ranks:
    """Which rank of how many this process is: as given, else as `torch.distributed` says when the first pass begins.

    So a loader may be made before `torch.distributed` is initialised, as it is in scripts for accelerate and Lightning.

    Args:
        rank, world_size: None: from `torch.distributed`.

    Raises:
        UpsDataError: the rank given is not one of so many.
    """

    def __init__(self, rank: int | None, world_size: int | None) -> None:
        self._given = rank, world_size
        self._settled: tuple[int, int] | None = None
        rank_and_world(rank, world_size)  # refuses what cannot be

    def __getstate__(self) -> dict[str, Any]:
        # A process that makes batches for this one knows nothing of torch.distributed.
        known = self._now() if is_distributed() else None
        return {"_given": self._given, "_settled": self._settled or known}

    @property
    def rank(self) -> int:
        """Of this process: settled, or as it looks now."""
        return (self._settled or self._now())[0]

    @property
    def world_size(self) -> int:
        """Number of ranks: settled, or as it looks now."""
        return (self._settled or self._now())[1]

    def settle(self) -> None:
        """A pass begins: from the first one on, rank and number of ranks stay what they are.

        Raises:
            UpsDataError: they have changed since then; or the environment says that there are several ranks, and
                neither `torch.distributed` nor an argument says which one this is.
        """
        known = is_distributed() or None not in self._given
        if self._settled is None:
            if not known and (expected := expected_ranks()) > 1:
                raise UpsDataError(
                    f"WORLD_SIZE says that there are {expected} ranks, and torch.distributed is not initialised: call "
                    "torch.distributed.init_process_group (or make the Accelerator) before the first pass over the "
                    "loader, or give rank= and world_size="
                )
            self._settled = self._now()
        elif known and self._settled != (now := self._now()):
            raise UpsDataError(
                f"the first pass over this loader began as rank {self._settled[0]} of {self._settled[1]}, and this "
                f"process is now rank {now[0]} of {now[1]}: begin the first pass after torch.distributed is "
                "initialised, or make the loader again"
            )

    def _now(self) -> tuple[int, int]:
        rank, world_size = self._given
        if world_size is None and rank is None and not is_distributed() and (expected := expected_ranks()) > 1:
            return min(int(os.environ.get("RANK", "0")), expected - 1), expected
        return rank_and_world(rank, world_size)


def expected_ranks() -> int:
    """What a launcher (torchrun, accelerate) has told this process."""
    told = os.environ.get("WORLD_SIZE", "1")
    return int(told) if told.isdigit() else 1


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
