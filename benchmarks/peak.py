"""The most memory that something takes: of tensors on a CUDA device, of the process on a CPU. Linux only."""

import ctypes
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Look at the peak from now on; what the allocator keeps of freed memory goes back to the system."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
        CLEAR.write_text("5")  # see proc(5): resets the peak resident set size


def peak_bytes() -> float:
    """The most since then; NaN where nobody counts."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _status("VmHWM")


def resident_bytes() -> float:
    """What is taken now."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else _status("VmRSS")


def _status(name: str) -> float:
    if not STATUS.exists():
        return float("nan")
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return 1024.0 * int(line.split()[1])
