"""`load_trained`: a finished run, ready to predict."""

from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.models.reference import UpsModel, build_model
from ups_data.training.config import TrainConfig
from ups_data.training.loaders import train_loader, valid_loader
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint


def load_trained(out: str | Path) -> tuple[UpsModel, QueryLoader]:
    """The model of a run's checkpoint, on the CPU, and the dense loader of its validation split.

    Args:
        out: the run's folder; its dataset must still be where it was.

    Raises:
        UpsDataError: no checkpoint or no dataset there, or a dataset without validation samples.
    """
    state = load_checkpoint(Path(out) / CHECKPOINT)
    config = TrainConfig.model_validate(state["config"])
    training = train_loader(config)
    valid = valid_loader(config, training)
    if valid is None:
        raise UpsDataError(f"{config.data.root}: no samples in split {config.data.valid_split!r} to predict")
    model = build_model(config.data.root, training.manifest, config.data, config.model)
    model.load_state_dict(state["model"])
    return model.eval(), valid
