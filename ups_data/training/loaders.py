"""The loaders that a configuration asks for."""

from typing import Any

from ups_data.engine.ranks import rank_and_world
from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.loader.options import Sampling
from ups_data.loader.options.opening import load_manifest
from ups_data.models.protocol import QuerySets
from ups_data.models.reference import UpsModel
from ups_data.sampling import QuerySampling
from ups_data.sampling.mode_options import record_of
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig


def open_manifest(config: TrainConfig) -> Manifest:
    """What the dataset says it is: a model is made for it before its loader is."""
    return load_manifest(config.data.root, config.data)


def train_loader(config: TrainConfig, query_sets: QuerySets | None = None) -> QueryLoader:
    """The training split.

    Args:
        query_sets: those that the model needs; None: those that the built-in model's configured losses need.
    """
    data, size = config.data, samples_per_rank(config) * config.training.accumulate
    sampling = of_sets(config, open_manifest(config)) if data.sampling is None else data.sampling
    dense = isinstance(sampling, QuerySampling) and (record_of(sampling.mode).draws_all or sampling.ratio == 1.0)
    wanted = UpsModel.query_sets(config.loss_weights()) if query_sets is None else query_sets
    needed = {"input_queries": wanted.input, "lattice_queries": wanted.lattice and not dense}
    given: dict[str, Any] = {name: value for name in needed if (value := getattr(data, name)) is not None}
    if data.latents is not None and not {**needed, **given}["input_queries"]:
        given |= {"input_fields": [], "inputs": None}  # nobody encodes them
    options = data.loader_options(data.train_split, batch_size=size, sampling=sampling, **{**needed, **given})
    return QueryLoader(data.root, options)


def samples_per_rank(config: TrainConfig) -> int:
    """`data.batch_size` is that of all ranks together; a rank's share of it.

    Raises:
        UpsDataError: the ranks do not divide it.
    """
    size, (_, ranks) = config.data.batch_size, rank_and_world()
    if size % ranks:
        raise UpsDataError(
            f"data.batch_size={size} are the samples of all ranks together, and {ranks} ranks do not divide them: give "
            f"{max(1, round(size / ranks)) * ranks}, or start another number of ranks"
        )
    return size // ranks


def of_sets(config: TrainConfig, manifest: Manifest) -> Sampling:
    """The `query_…` keys of a configuration, for each set of points if the dataset has several."""
    sampling = config.to_sampling()
    return sampling if manifest.sets is None else dict.fromkeys(manifest.sets, sampling)


def persists(config: TrainConfig, manifest: Manifest) -> bool:
    """Whether every target is among the inputs, so that a forecast that nothing changes can be made."""
    everything = [spec.name for spec in manifest.fields]
    inputs, targets = (names or everything for names in (config.data.input_fields, config.data.target_fields))
    return set(targets) <= set(inputs)


def valid_loader(config: TrainConfig, like: QueryLoader) -> QueryLoader | None:
    """Every point of the validation split, in order, each sample on one rank; None if there are no samples.

    The encoder sees what it sees in training. If its points are drawn, each pass draws others (see `rewound`), and
    every point of the input frame comes beside them, if persistence predicts it.
    """
    data, split, splits = config.data, config.data.valid_split, like.manifest.splits
    if split not in splits or splits[split].num_trajectories == 0:
        return None
    full = QuerySampling(ratio=1.0)
    sampling = full if like.manifest.sets is None else dict.fromkeys(like.manifest.set_names, full)
    return QueryLoader(
        data.root,
        data.loader_options(
            split,
            batch_size=samples_per_rank(config),
            sampling=sampling,
            shuffle=False,
            drop_last=False,
            pad=True,
            repeats=1,
            num_workers=0,
            input_queries=isinstance(data.inputs, QuerySampling)
            and data.horizon > 0
            and persists(config, like.manifest),
            lattice_queries=False,
            ragged=data.ragged if like.manifest.grid is not None and not like.manifest.masks else "pad",
        ),
    )


def rewound(valid: QueryLoader) -> QueryLoader:
    """A validation loader whose next pass is its first again: if the encoder's points are drawn, they are the same."""
    if valid.options.inputs is not None:
        valid.set_epoch(0)
    return valid
