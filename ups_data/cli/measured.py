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
    *,
    trial: int | None = None,
) -> tuple[TrainConfig, Noise]:
    """Measure, with a progress bar.

    Args:
        after: optimiser steps that a copy of the model takes first; None: `trial`, or 0 if `out` holds a checkpoint.
        trial: None: no advice is asked for. Otherwise the present setting will be compared, so its mode is needed.

    Raises:
        UpsDataError: ratios that are no numbers, a present mode that is not among those named; see `measure_noise`.
    """
    settings = load_config(find_config(config), list(overrides))
    try:
        numbers = [float(ratio) for ratio in ratios.split(",")]
    except ValueError:
        raise UpsDataError(f"--ratios {ratios}: give numbers between 0 and 1, with commas") from None
    named = None if modes is None else modes.split(",")
    mode, ratio = present(settings)
    also = [mode] if trial is not None and ratio < 1 else []
    if named is not None and not set(also) <= set(named):
        raise UpsDataError(f"--modes {modes}: the configuration draws in mode {mode!r}, so name it too")
    has_weights = (Path(settings.out) / CHECKPOINT).exists()
    if after is None:
        after = 0 if has_weights or trial is None else trial
    with counting("steps and gradients" if after else "gradients") as bar:
        task = bar.add_task("measuring", total=None)
        found = measure_noise(
            settings,
            run=settings.out if has_weights else None,
            modes=named,
            ratios=numbers,
            samples=samples,
            also=also,
            after=after,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return settings, found


def suggested(settings: TrainConfig, found: Noise) -> Advice:
    """The advice for a configuration.

    Raises:
        UpsDataError: it draws in a mode that was not measured; see `advise`.
    """
    mode, ratio = present(settings)
    memory = usable_memory(device_of(settings.training.device))
    return advise(found, batch_size=settings.data.batch_size, ratio=ratio, mode=mode, memory=memory)


def present(settings: TrainConfig) -> tuple[str, float]:
    """The mode and the ratio that a configuration has; a mixture is compared as `uniform`."""
    sampling = settings.to_sampling()
    mode = sampling.mode if isinstance(sampling.mode, str) else "uniform"
    return mode, 1.0 if sampling.ratio is None else sampling.ratio
