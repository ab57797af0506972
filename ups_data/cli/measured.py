"""What `ups-data noise` and `ups-data suggest-points` have in common."""

from collections.abc import Sequence
from pathlib import Path

from ups_data.cli.progress import counting
from ups_data.cli.shipped import find_config
from ups_data.errors import UpsDataError
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.device import device_of, usable_memory
from ups_data.training.noise import Advice, Noise, advise, measure_noise
from ups_data.training.runs.checkpoint import CHECKPOINT


def measured(
    config: str,
    overrides: Sequence[str],
    modes: str | None,
    ratios: str,
    samples: int,
    after: int | None,
    trial: int = 0,
) -> tuple[TrainConfig, Noise, int]:
    """Measure, with a progress bar.

    Args:
        after: optimiser steps that a copy of the model takes first; None: `trial`, or 0 if `out` holds a checkpoint.

    Returns:
        the configuration, what was found, and how many steps the copy took.

    Raises:
        UpsDataError: ratios that are no numbers; see `measure_noise`.
    """
    settings = load_config(find_config(config), list(overrides))
    try:
        numbers = [float(ratio) for ratio in ratios.split(",")]
    except ValueError:
        raise UpsDataError(f"--ratios {ratios}: give numbers between 0 and 1, with commas") from None
    has_weights = (Path(settings.out) / CHECKPOINT).exists()
    if after is None:
        after = 0 if has_weights else trial
    with counting("steps and gradients" if after else "gradients") as bar:
        task = bar.add_task("measuring", total=None)
        found = measure_noise(
            settings,
            run=settings.out if has_weights else None,
            modes=None if modes is None else modes.split(","),
            ratios=numbers,
            samples=samples,
            after=after,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return settings, found, after


def suggested(settings: TrainConfig, found: Noise) -> Advice:
    """The advice for a configuration.

    Raises:
        UpsDataError: it draws in a mode that was not measured; see `advise`.
    """
    sampling = settings.to_sampling()
    ratio = 1.0 if sampling.ratio is None else sampling.ratio
    mode = sampling.mode if isinstance(sampling.mode, str) else "uniform"
    memory = usable_memory(device_of(settings.training.device))
    return advise(found, batch_size=settings.data.batch_size, ratio=ratio, mode=mode, memory=memory)
