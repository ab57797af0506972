"""What a step cost the machine: for sinks that show it while a run goes on."""

from collections.abc import Mapping

import torch

from ups_data.engine.stats import LoaderStats
from ups_data.training.device import peak_memory_mb
from ups_data.training.runs.result import StepRecord


def machine_values(record: StepRecord, stats: LoaderStats, device: torch.device) -> Mapping[str, float]:
    """The wait's share of the step's time; memory, and bytes of this rank's loader, so far: see `Sink`."""
    return {
        "wait_share": record.data_seconds / max(record.data_seconds + record.compute_seconds, 1e-9),
        "memory_mb": peak_memory_mb(device),
        "read_mb": stats.read_bytes / 1e6,
        "fetched_mb": stats.fetched_bytes / 1e6,
    }
