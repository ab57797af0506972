"""The loaders that a configuration asks for."""

from typing import Any

from ups_data.loader.loader import QueryLoader
from ups_data.sampling import QuerySampling
from ups_data.sampling.mode_options import record_of
from ups_data.training.config import TrainConfig


def train_loader(config: TrainConfig) -> QueryLoader:
    """The training split, with the points that the configured losses need."""
    weights, sampling = config.loss_weights(), config.to_sampling()
    dense = record_of(sampling.mode).draws_all or sampling.ratio == 1.0
    return _loader(
        config,
        config.data.train_split,
        sampling,
        num_workers=config.data.num_workers,
        input_queries=weights["inverse_encoding"] > 0,
        lattice_queries=weights["inverse_decoding"] > 0 and not dense,
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
