"""Whether a model's predictions can be its next input."""

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig
from ups_data.training.forecast.parts import SetName


def rolled_fields(manifest: Manifest, inputs: list[str], targets: list[str]) -> dict[SetName, tuple[str, ...]]:
    """Set of points → the input fields that are predicted, and that change in time."""
    found: dict[SetName, tuple[str, ...]] = {}
    for name in inputs:
        spec = manifest.field(name)
        if name in targets and not spec.static:
            found[spec.point_set] = (*found.get(spec.point_set, ()), name)
    return found


def check_rolls(config: TrainConfig, manifest: Manifest, inputs: list[str], targets: list[str], steps: int) -> None:
    """Refuse a rollout of a model whose next input is not what it predicts.

    Raises:
        UpsDataError: says which field, and what to do.
    """
    if config.data.horizon == 0:
        raise UpsDataError(
            f"a rollout of {steps} steps: the model was trained with data.horizon=0, it does not go ahead in time; "
            "leave the rollout out"
        )
    missing = [n for n in inputs if n not in targets and not manifest.field(n).static]
    if missing:
        raise UpsDataError(
            f"a rollout of {steps} steps needs every input field that changes in time to be predicted, and "
            f"{missing[0]!r} is not: train with data.target_fields that name it, or leave the rollout out"
        )
    if config.data.input_stride > 1:
        raise UpsDataError(
            f"a rollout of {steps} steps: the model sees every {config.data.input_stride}th point of the grid; train "
            "with data.input_stride=1, or leave the rollout out"
        )
    moving = manifest.grid is None and any(manifest.point_set(name).moving for name in manifest.set_names)
    if moving and config.data.inputs is not None:
        raise UpsDataError(
            f"a rollout of {steps} steps: the points move, and the encoder's points are drawn (data.inputs): train on "
            "all points, or leave the rollout out"
        )
