"""The loaders that a configuration asks for."""

from typing import Any

from ups_data.loader.loader import QueryLoader
from ups_data.models.protocol import QuerySets
from ups_data.models.reference import UpsModel
from ups_data.sampling import QuerySampling
from ups_data.sampling.mode_options import record_of
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig


def open_manifest(config: TrainConfig) -> Manifest:
    """What the dataset says it is: a model is made for it before its loader is."""
    return Manifest.load(config.data.root)


def train_loader(config: TrainConfig, query_sets: QuerySets | None = None) -> QueryLoader:
    """The training split.

    Args:
        query_sets: those that the model needs; None: those that the built-in model's configured losses need.
    """
    sampling = config.to_sampling()
    wanted = UpsModel.query_sets(config.loss_weights()) if query_sets is None else query_sets
    dense = record_of(sampling.mode).draws_all or sampling.ratio == 1.0
    return _loader(
        config,
        config.data.train_split,
        sampling,
        num_workers=config.data.num_workers,
        input_queries=wanted.input,
        lattice_queries=wanted.lattice and not dense,
    )


def valid_loader(config: TrainConfig, like: QueryLoader) -> QueryLoader | None:
    """Every point of the validation split, in order, each sample on one rank; None where there are no samples."""
    split, splits = config.data.valid_split, like.manifest.splits
    if split not in splits or splits[split].num_trajectories == 0:
        return None
    full = QuerySampling(ratio=1.0)
    return _loader(config, split, full, shuffle=False, pad=True, input_queries=False)


def _loader(config: TrainConfig, split: str, sampling: QuerySampling, **options: Any) -> QueryLoader:
    data = config.data
    return QueryLoader(
        data.root,
        split=split,
        batch_size=data.batch_size,
        sampling=sampling,
        input_fields=data.input_fields,
        target_fields=data.target_fields,
        input_steps=data.input_steps,
        horizon=data.horizon,
        dt_stride=data.dt_stride,
        seed=data.seed,
        threads=data.threads,
        timeout=data.timeout,
        verify=data.verify,
        on_damage=data.on_damage,
        max_damaged=data.max_damaged,
        **options,
    )
