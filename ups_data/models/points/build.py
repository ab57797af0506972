"""A `PointsModel` of the right sizes for a dataset."""

from collections.abc import Mapping
from typing import TypeVar

from ups_data.errors import UpsDataError
from ups_data.models.conditioning import Conditioning
from ups_data.models.config import ModelConfig
from ups_data.models.fourier import FourierFeatures, octaves
from ups_data.models.normalize import Normalizer
from ups_data.models.points.attention import TokenOperator
from ups_data.models.points.decoder import PointDecoder
from ups_data.models.points.encoder import PointsEncoder
from ups_data.models.points.model import PointsModel, key_of
from ups_data.models.points.pooling import SupernodePooling
from ups_data.models.protocol import TrainedOn
from ups_data.schema import Manifest

DEFAULT_TOKENS, DEFAULT_SUPERNODES, DEFAULT_FINEST = 32, 128, 32.0
Number = TypeVar("Number", int, float)


def build_points(manifest: Manifest, data: TrainedOn, model: ModelConfig) -> PointsModel:
    """A fresh model for a dataset of points, with the training split's statistics.

    The encoder sees the sets that have input fields, or those that `model.encode` names; of a set without input fields
    it sees where the points are. Input and target fields are decoded alike.

    Raises:
        UpsDataError: sizes that do not fit, or sets that the dataset does not have.
    """
    everything = [f.name for f in manifest.fields]
    inputs = everything if data.input_fields is None else list(data.input_fields)
    targets = manifest.default_targets() if data.target_fields is None else list(data.target_fields)
    decoded = list(dict.fromkeys([*inputs, *targets]))
    specs = {name: manifest.field(name) for name in decoded}
    sets = manifest.set_names
    encoded = _encoded_sets(model, sets, {specs[name].point_set for name in inputs})

    def fourier(name: str | None) -> FourierFeatures:
        return FourierFeatures([octaves(_of_set(model.finest, name, DEFAULT_FINEST))] * manifest.point_set(name).dim)

    brought = {
        key_of(s): {
            n: specs[n].channels * (1 if specs[n].static else data.input_steps)
            for n in inputs
            if specs[n].point_set == s
        }
        for s in encoded
    }
    poolings = {
        key_of(s): SupernodePooling(
            sum(brought[key_of(s)].values()),
            fourier(s),
            model.dim,
            supernodes=_of_set(model.supernodes, s, DEFAULT_SUPERNODES),
            neighbours=model.neighbours,
            radius=model.radius,
        )
        for s in encoded
    }
    fields = {s: {n: specs[n].channels for n in decoded if specs[n].point_set == s} for s in sets}
    decoders = {
        key_of(s): PointDecoder(of_set, fourier(s), model.dim, model.heads) for s, of_set in fields.items() if of_set
    }
    if isinstance(model.tokens, list):
        raise UpsDataError(f"model.tokens={model.tokens}: the tokens of points have no axes: give one number")
    return PointsModel(
        Normalizer.of_dataset(manifest, decoded, split=data.train_split),
        Conditioning.of_dataset(manifest, split=data.train_split, dt_stride=data.dt_stride),
        PointsEncoder(poolings, brought, model.dim, model.heads, model.tokens or DEFAULT_TOKENS),
        TokenOperator(model.dim, model.heads, model.depth, len(manifest.params)),
        decoders,
    )


def _encoded_sets(model: ModelConfig, sets: list[str | None], with_inputs: set[str | None]) -> list[str | None]:
    """The sets whose points the encoder sees, in the dataset's order."""
    if model.encode is None:
        return [s for s in sets if s in with_inputs] or sets
    unknown = [name for name in model.encode if name not in sets]
    if unknown or not model.encode:
        have = ", ".join(map(str, sets)) if sets != [None] else "only one set of points, without a name"
        raise UpsDataError(f"model.encode={model.encode}: the dataset has {have}")
    return [s for s in sets if s in model.encode]


def _of_set(value: Number | Mapping[str, Number] | None, name: str | None, default: Number) -> Number:
    """A size that is given for all sets, or by their names."""
    if isinstance(value, Mapping):
        return value.get(name or "points", default)
    return default if value is None else value
