"""`load_trained`: a finished run, ready to predict."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.loader.state import dataset_digest
from ups_data.models.protocol import Model
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig
from ups_data.training.loaders import open_manifest, train_loader, valid_loader
from ups_data.training.runs.checkpoint import CHECKPOINT, check_form, configuration_of, load_checkpoint, put_weights
from ups_data.training.targets import model_of


class TrainedRun(NamedTuple):
    """A run's model with its weights, on the CPU, in evaluation mode; its configuration; its dataset's manifest."""

    model: Model
    config: TrainConfig
    manifest: Manifest


def trained_run(out: str | Path, *, model: nn.Module | None = None, trust_target: bool = False) -> TrainedRun:
    """What a run's checkpoint holds.

    Args:
        out: the run's folder; the manifest of its dataset must still be where it was.
        model, trust_target: see `load_trained`.

    Raises:
        UpsDataError: no checkpoint or no dataset there, or a model that is not the built-in one if neither `model` nor
            `trust_target` is given.
    """
    path = Path(out) / CHECKPOINT
    state = load_checkpoint(path)
    check_form(state, path)
    config = configuration_of(state, path)
    if model is None:
        _check_known(state, config, path, trust_target)
        _check_sizes(state, config, path)
    manifest = open_manifest(config)
    made = model_of(config, manifest, model)
    put_weights(made, state, path)
    return TrainedRun(made.eval(), config, manifest)


def weights_of(out: str | Path, model: Model, *, trained_on: Manifest | None = None) -> None:
    """Give a model the weights of a run.

    Args:
        trained_on: the dataset that the run must have been trained on; None: any.

    Raises:
        UpsDataError: no checkpoint there, or one of another model or another dataset.
    """
    path = Path(out) / CHECKPOINT
    state = load_checkpoint(path)
    check_form(state, path)
    if trained_on is not None:
        _check_dataset(state, trained_on, path)
    put_weights(model, state, path)


def load_trained(
    out: str | Path, *, model: nn.Module | None = None, trust_target: bool = False
) -> tuple[Model, QueryLoader]:
    """The model of a run's checkpoint, on the CPU, and the dense loader of its validation split.

        model, loader = load_trained("runs/train")
        fields = model.predict(next(iter(loader)))

    Args:
        out: the run's folder; its dataset must still be where it was.
        model: takes the checkpoint's weights; None: the built-in model of the run's sizes.
        trust_target: import and call the `model.target` that the checkpoint names. That runs code of its choice: only
            for checkpoints of your own.

    Raises:
        UpsDataError: no checkpoint or no dataset there, a dataset without validation samples, or a model that is not
            the built-in one if neither `model` nor `trust_target` is given.
    """
    run = trained_run(out, model=model, trust_target=trust_target)
    valid = valid_loader(run.config, train_loader(run.config))
    if valid is None:
        raise UpsDataError(
            f"{run.config.data.root}: no samples in split {run.config.data.valid_split!r} to predict: name another as "
            "data.valid_split"
        )
    return run.model, valid


def _check_dataset(state: dict[str, Any], manifest: Manifest, path: Path) -> None:
    """Compare a dataset with the one whose batches the run stood at."""
    plan = state["loader"].get("plan")
    plan = plan if isinstance(plan, dict) else {}
    split = plan.get("split")
    there = split in manifest.splits
    if "dataset" in plan and not (there and plan["dataset"] == dataset_digest(manifest, str(split))):
        raise UpsDataError(
            f"{path}: the run was trained on another dataset than this one: give its own as data.root, or an out "
            "without a checkpoint to measure new weights"
        )


def _check_sizes(state: dict[str, Any], config: TrainConfig, path: Path) -> None:
    """Compare what its configuration claims with the weights that are there, before a model is made."""
    there = sum(tensor.numel() for tensor in state["model"].values())
    if config.model.least_parameters > there:
        raise UpsDataError(
            f"{path}: holds {there:,} weights, and its configuration is of a model with more than "
            f"{config.model.least_parameters:,}: copy it again, or train again"
        )


def _check_known(state: dict[str, Any], config: TrainConfig, path: Path, trust_target: bool) -> None:
    """Refuse what cannot be built, or only by importing what the checkpoint names."""
    given = state.get("given_model")
    if given is not None:
        raise UpsDataError(f"{path}: holds the weights of {given}: make one, and give it as load_trained(…, model=…)")
    if not config.model.is_reference and not trust_target:
        raise UpsDataError(
            f"{path}: its model is made by {config.model.target!r}, which is not imported unasked: give the model as "
            "load_trained(…, model=…), or trust_target=True if you trust that code"
        )
