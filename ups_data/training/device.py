"""The device that a run computes on, and the memory that it took there."""

import resource

import torch

from ups_data.errors import UpsDataError


def device_of(name: str, local_rank: int | None = None) -> torch.device:
    """A torch device by name; `auto`: CUDA if there is a GPU.

    Args:
        local_rank: of the ranks on this machine; each takes the GPU of its number. None: there is one rank.

    Raises:
        UpsDataError: no such device, or none that works here, or fewer GPUs than ranks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local_rank is not None and (gpus := torch.cuda.device_count()):
        if local_rank >= gpus:
            raise UpsDataError(
                f"rank {local_rank} of this machine has no GPU, there are {gpus}: start {gpus} ranks, or give "
                "training.device=cpu"
            )
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UpsDataError(f"training.device={name!r} is not usable here: give auto, cpu or cuda") from None
    return device


def peak_memory_mb(device: torch.device) -> float:
    """The most memory so far, in MB: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # Linux counts in KB
