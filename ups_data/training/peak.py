"""The most memory that training steps take."""

from pathlib import Path

import torch

from ups_data.training.result import StepRecord

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Asked after every step, it leaves validation and the first step of each epoch out.

    On a CUDA device it is the memory that tensors take; on a CPU the resident memory of the process, which has its code
    and maps in it, so that differences between runs say more than the number itself.

    Attributes:
        megabytes: the most so far.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0

    def after_step(self, record: StepRecord) -> None:
        """For `train(on_step=…)`."""
        if record.step == 0:
            forget_peak()
        else:
            self.megabytes = max(self.megabytes, peak_bytes() / 1e6)


def forget_peak() -> None:
    """Look at the peak from now on. Linux only: elsewhere the peak is that of the whole process."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        CLEAR.write_text("5")  # see proc(5): resets the peak resident set size


def peak_bytes() -> float:
    """The most since then: of tensors on a CUDA device, else of resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if not STATUS.exists():
        return float("nan")
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
