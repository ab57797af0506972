"""`training.query_sample_ratio: auto`: a run measures the noise of its own gradient and takes what pays best.

The times of steps are measured too, and differ from run to run. So what was chosen is a part of the run's history: it
is in the checkpoint before the first step that depends on it, and a run that goes on takes it from there.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.models.protocol import Model
from ups_data.training.config import TrainConfig
from ups_data.training.device import device_of, usable_memory
from ups_data.training.loaders import open_manifest
from ups_data.training.noise import advise, measure_noise
from ups_data.training.noise.measure import DRAWS, RATIOS, SAMPLES, measurable_modes
from ups_data.training.points.chosen import Chosen
from ups_data.training.points.keys import FREE_MODES
from ups_data.training.runs.rng import rng_state, set_rng_state


def is_due(config: TrainConfig, epoch: int, epochs: int, chosen: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an epoch that begins needs a choice.

    Args:
        epochs: of the run.
        chosen: so far, the last one last.
    """
    again = epoch in config.training.auto_epochs(epochs) and bool(chosen) and chosen[-1]["epoch"] < epoch
    return config.training.chooses_points and (not chosen or again)


def choose(config: TrainConfig, model: Model, epoch: int, *, ranks: int = 1) -> dict[str, Any]:
    """Measure the noise of the model's gradient as it is now, and choose; model and random states stay as they are.

    Returns:
        the fields of `Chosen`.

    Raises:
        UpsDataError: see `measure_noise`; no mode that the configuration allows.
    """
    states = rng_state()
    try:
        noise = measure_noise(
            config,
            model=copy.deepcopy(model).train(),
            modes=_candidates(config),
            ratios=RATIOS,
            samples=SAMPLES,
            draws=DRAWS,
        )
    finally:
        set_rng_state(states)
    size = config.data.batch_size * config.training.accumulate
    against = "training on all points"
    advice = advise(
        noise,
        batch_size=size,
        ratio=1.0,
        mode=FREE_MODES[0],
        memory=usable_memory(device_of(config.training.device)),
        sizes=[size],
        ranks=ranks,
        parts=config.training.accumulate,
        against=against,
    )
    of_advice = {name: value for name, value in vars(advice).items() if name in Chosen.model_fields}
    return Chosen(epoch=epoch, **of_advice).model_dump()


def _candidates(config: TrainConfig) -> list[str]:
    """The mode that the configuration names; if it names none, all that it allows and the dataset has.

    Raises:
        UpsDataError: there is none.
    """
    named = config.training.query_sampling_mode
    modes = measurable_modes(open_manifest(config)) if named in FREE_MODES else [str(named)]
    allowed = []
    for mode in modes:
        try:
            config.with_points(0.5, mode).to_sampling()
        except UpsDataError:
            if len(modes) == 1:
                raise
            continue
        allowed.append(mode)
    return allowed
