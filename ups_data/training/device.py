"""The device that a run computes on, and the memory that it took there."""

import resource

import torch

from ups_data.errors import UpsDataError


def device_of(name: str) -> torch.device:
    """A torch device by name; `auto`: CUDA if there is a GPU.

    Raises:
        UpsDataError: no such device, or none that works here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
