"""Loaders of what is evaluated or predicted: every point of a split, in order."""

from collections.abc import Mapping
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.loader.stretches.stretches import one_query, sample_bytes
from ups_data.sampling import QuerySampling
from ups_data.schema import FieldSpec, Manifest
from ups_data.training.config import TrainConfig

BATCH_POINTS = 2**21  # of target queries in a batch: fewer samples of larger frames
HELD_POINTS = 2**18  # of a frame: larger ones are read part by part, if the encoder does not see them whole


def fields_of(
    config: TrainConfig, trained: Manifest, manifest: Manifest, *, needs_targets: bool = True
) -> tuple[list[str], list[str]]:
    """Names of the fields that the model sees, and of those that it predicts.

    Args:
        trained: of the dataset that the model was trained on.
        manifest: of the data.
        needs_targets: whether the data must have the predicted fields too.

    Raises:
        UpsDataError: the data lack one of them, or have it with other channels.
    """
    everything = [f.name for f in trained.fields]
    inputs, targets = ([*(names or everything)] for names in (config.data.input_fields, config.data.target_fields))
    have = {f.name: f for f in manifest.fields}
    for name in dict.fromkeys([*inputs, *(targets if needs_targets else [])]):
        expected = trained.field(name)
        if name not in have:
            raise UpsDataError(
                f"the model needs the field {name!r}, the data have {', '.join(have)}: convert them with such a field, "
                f"or rename one (ups-data convert --rename OLD={name})"
            )
        if (have[name].channels, have[name].point_set) != (expected.channels, expected.point_set):
            raise UpsDataError(
                f"the model needs the field {name!r} {_described(expected)}, the data have it {_described(have[name])}"
            )
    if missing := [name for name in trained.params if name not in manifest.params]:
        raise UpsDataError(f"the model needs the parameter {missing[0]!r}, the data have {manifest.params or 'none'}")
    if trained.set_names != manifest.set_names or (trained.grid is None) != (manifest.grid is None):
        raise UpsDataError("the model was trained on other sets of points than the data have: give data of that kind")
    if trained.grid is not None and manifest.grid is not None:
        axes = len(trained.grid.shape), len(manifest.grid.shape)
        if axes[0] != axes[1]:
            raise UpsDataError(f"the model was trained on a grid of {axes[0]} axes, the data have {axes[1]}")
    return inputs, targets


def seen_fields(manifest: Manifest, inputs: list[str], sets: list[str | None]) -> list[str]:
    """A field of every set of points, as small as can be: with its values, a loader hands out where the points are."""
    found = []
    for set_name in sets:
        on_set = [spec for spec in manifest.fields if spec.point_set == set_name]
        found.append(min(on_set, key=lambda spec: (spec.name not in inputs, spec.channels)).name)
    return found


def are_large(config: TrainConfig, manifest: Manifest, split: str, targets: list[str]) -> bool:
    """Whether the target frames of points are read part by part, so that they take no memory: large ones of which the
    encoder sees a few points.

    Frames in which other points count from step to step are not, and neither are damaged ones that are to be skipped:
    that one of them is damaged has to be known before it is predicted.
    """
    sets = {manifest.field(name).point_set for name in targets}
    if manifest.grid is not None or config.data.inputs is None or not manifest.split(split).shards:
        return False
    if config.data.on_damage == "skip" or any(manifest.mask_moves(name) for name in sets):
        return False
    return max(int(manifest.points_of(split, name).max()) for name in sets) > HELD_POINTS


def dense_loader(
    config: TrainConfig,
    root: str,
    manifest: Manifest,
    split: str,
    *,
    inputs: list[str],
    targets: list[str],
    horizon: int,
    batch_size: int | None = None,
    input_queries: bool = False,
    stored_coords: bool = False,
    every_frame: bool = False,
    few_targets: bool = False,
) -> QueryLoader:
    """Every point of the target frames of a split, in order, each sample on one rank, the encoder's points as trained.

    Args:
        batch_size: None: that of the training, or fewer samples if frames are large.
        input_queries: every point of the input frames too.
        stored_coords: coordinates as they are stored, see `Scales`; else as in training.
        every_frame: a damaged sample raises, whatever the training did with those.
        few_targets: of each target frame one point only, and one sample a batch: `Stretches` reads the others.

    Raises:
        UpsDataError: no such split, or no trajectory is long enough.
    """
    used = list(dict.fromkeys(manifest.field(name).point_set for name in (*inputs, *targets)))
    if manifest.sets is not None and len(used) > 1:  # the encoder may see sets without fields, as in training
        used = list(config.data.sampling) if isinstance(config.data.sampling, Mapping) else manifest.set_names
    sizes = [manifest.points_of(split, name) for name in used] if manifest.split(split).shards else []
    if not sizes:
        raise UpsDataError(f"{root}: the split {split!r} has no samples: choose one of {', '.join(manifest.splits)}")
    data, most = config.data, sum(int(points.max()) for points in sizes) * max(1, horizon)
    targets_of = {
        name: _one_beside(config, manifest, name) if few_targets else QuerySampling(ratio=1.0) for name in used
    }
    changed: dict[str, Any] = {
        "sampling": targets_of[used[0]] if len(used) == 1 else targets_of,
        "input_fields": inputs,
        "target_fields": targets,
        "horizon": horizon,
        "shuffle": False,
        "drop_last": False,
        "pad": True,
        "repeats": 1,
        "num_workers": 0,
        "input_queries": input_queries,
        "lattice_queries": False,
        "batch_size": 1 if few_targets else batch_size or max(1, min(data.batch_size, BATCH_POINTS // most)),
    }
    frames = sum(sum(shard.steps) for shard in manifest.split(split).shards)
    changed["batch_size"] = min(changed["batch_size"], frames)  # a batch is filled up
    if every_frame:
        changed["on_damage"] = "raise"
    if few_targets:
        changed["pool_bytes"] = max(data.pool_bytes, sample_bytes(manifest, split, targets, horizon))
    if isinstance(data.inputs, Mapping):  # those of sets that are left out here are not drawn
        changed["inputs"] = {name: of_set for name, of_set in data.inputs.items() if name in used} or None
    if stored_coords:
        changed["coords"] = "source"
    counted = [manifest.counted_of(split, name) for name in used]
    if any(int(fewest.min()) < int(most.max()) for fewest, most in counted):
        changed["ragged"] = "pad"
    if most > BATCH_POINTS:
        changed |= {"threads": 0, "prefetch": 1}  # one batch at a time
    return QueryLoader(root, data.loader_options(split, **changed))


def _one_beside(config: TrainConfig, manifest: Manifest, name: str | None) -> QuerySampling:
    """One point of a set, drawn as the encoder's are: if those are drawn by number, how they are stored is looked up,
    and if they are blocks, it need not be known."""
    inputs = config.data.inputs
    drawn = inputs.get(str(name)) if isinstance(inputs, Mapping) else inputs
    if isinstance(drawn, QuerySampling) and not any(mode.needs_blocks for mode in drawn.records):
        return QuerySampling(num_queries=1, mode="uniform")
    return one_query(manifest)


def _described(spec: FieldSpec) -> str:
    on = "" if spec.point_set is None else f" on the set {spec.point_set!r}"
    return f"with {spec.channels} channel{'s' if spec.channels > 1 else ''}{on}"
