"""The device that a run computes on, and the memory that it took there."""

import resource
from pathlib import Path

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
        float(torch.zeros(1, device=device))  # "meta" can be named, and computes nothing
    except (RuntimeError, AssertionError):
        raise UpsDataError(f"training.device={name!r} is not usable here: give auto, cpu or cuda") from None
    return device


def free_memory(device: torch.device) -> float | None:
    """Bytes that this process may still take: of the device, or of the machine and its control groups on a CPU; None:
    not known."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused)
    if device.type != "cpu":
        return None
    found = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append(1024.0 * int(line.split()[1]))
    most, used = (_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if most and used and most[0].isdecimal() and used[0].isdecimal():
        found.append(float(max(0, int(most[0]) - int(used[0]))))
    return min(found, default=None)


def usable_memory(device: torch.device) -> float | None:
    """Bytes that a step may be planned to keep: half of what is free, since backward passes take temporary memory, and
    sizes of samples differ; None: not known."""
    free = free_memory(device)
    return None if free is None else free / 2


def _lines(path: str) -> list[str]:
    """Of a file of the kernel's; none if there is no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def peak_memory_mb(device: torch.device) -> float:
    """The most memory so far, in MB: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # Linux counts in KB
