"""`UpsModel`: normalisation, encoder, operator and decoder as one module, and how it is sized for a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ups_data.batch import EncoderInput, QueryBatch, QuerySet
from ups_data.errors import UpsDataError
from ups_data.models.conditioning import Conditioning
from ups_data.models.config import ModelConfig
from ups_data.models.decoder import AnyPointDecoder, decode_dense
from ups_data.models.encoder import GridEncoder
from ups_data.models.normalize import Normalizer
from ups_data.models.operator import LatentOperator
from ups_data.models.points.build import build_points
from ups_data.models.protocol import LossContext, Model, QuerySets, TrainedOn, query_errors
from ups_data.schema import Manifest

OPERATOR_TERMS = ("prediction", "rollout", "latent", "spectral")
# Tokens along each axis, by number of axes: enough for detail, few enough for attention between all of them.
DEFAULT_TOKENS = {1: 64, 2: 16, 3: 6}


class UpsModel(Model):
    """Encode a frame, advance the latent, decode anywhere.

    Latents and losses live in normalised space; `predict` answers in physical units.
    """

    def __init__(
        self,
        normalizer: Normalizer,
        conditioning: Conditioning,
        encoder: GridEncoder,
        operator: LatentOperator,
        decoder: AnyPointDecoder,
    ) -> None:
        super().__init__()
        self.normalizer, self.conditioning = normalizer, conditioning
        self.encoder, self.operator, self.decoder = encoder, operator, decoder

    def encode(self, batch: QueryBatch) -> Tensor:
        """See `Model.encode`: latent `(B, M, D)`."""
        return self.encode_inputs(batch.inputs) if batch.latents is None else batch.latents.z0

    def encode_inputs(self, inputs: EncoderInput) -> Tensor:
        """Physical fields `(B, N, C)` → latent `(B, M, D)`.

        Raises:
            UpsDataError: the inputs are some of a grid's points.
        """
        if inputs.grid_shape is None:
            raise UpsDataError(
                "the built-in model for grids encodes whole frames, and gets some of their points: leave data.inputs "
                "out, or give a model of your own"
            )
        return self.encoder(self.normalizer(inputs.fields), inputs.coords, {"grid_shape": inputs.grid_shape})

    def advance(self, latent: Tensor, dt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Latent now → latent at the target: `dt` `(B,)` gives `(B, M, D)`; `(B, K)`, times from the input frame to
        each target, gives `(B, K, M, D)`, one operator step per target."""
        dt, conditions = self.conditioning.time(dt), self.conditioning.params(params)
        if dt.dim() == 1:
            return self.operator(latent, dt, conditions)
        return self.operator.rollout(latent, dt.diff(dim=1, prepend=torch.zeros_like(dt[:, :1])), conditions)

    def decode(self, latent: Tensor, queries: QuerySet, set_name: str | None = None) -> dict[str, Tensor]:
        """See `Model.decode`."""
        return self.normalizer.inverse(self.decode_normalised(queries.coords, latent))

    def decode_normalised(self, points: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Normalised fields at points: `(B, Q, d)` with `(B, M, D)`, or a step axis behind B in both."""
        if latent.dim() == 3:
            return self.decoder(points, latent)
        flat = self.decoder(points.flatten(0, 1), latent.flatten(0, 1))
        return {name: values.unflatten(0, latent.shape[:2]) for name, values in flat.items()}

    @staticmethod
    def encoder_parts() -> tuple[str, ...]:
        """See `Model`."""
        return "normalizer", "encoder"

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, Tensor]:
        """Encode, advance, decode at the batch's points, and compare, in normalised space.

        For a horizon K > 1, `rollout` compares all K steps and `prediction` the first. `latent` needs target points
        that can be encoded (all points, or a lattice). `inverse_decoding` uses the batch's lattice queries, or the full
        grid if there are none.

        Raises:
            UpsDataError: a weight above 0 whose inputs the batch does not hold.
        """
        weights = context.weights
        latent = self.encode(batch)
        meta = {"grid_shape": batch.inputs.grid_shape}
        queries, targets, lattice = batch.input_queries, batch.target_queries, batch.lattice_queries
        target = self.normalizer(targets.values)

        advanced: Tensor | None = None
        predicted: dict[str, Tensor] | None = None
        if any(weights.get(term, 0) > 0 for term in OPERATOR_TERMS):
            advanced = self.advance(latent, batch.dt, batch.params)
            predicted = self.decode_normalised(targets.coords, advanced)
            if context.on_errors is not None:
                context.on_errors(query_errors(predicted, target))
        rolls = batch.dt.dim() == 2
        return context.bundle(
            input_fields=None if queries is None else self.normalizer(queries.values),
            input_positions=None if queries is None else queries.coords,
            input_query_weights=None if queries is None else queries.weight,
            encoded_latent=latent,
            decoder=self.decoder,
            encoder=self.encoder,
            query_positions=None if lattice is None else lattice.coords,
            coords=batch.inputs.coords,
            meta=meta if lattice is None else {"grid_shape": lattice.grid_shape},
            predicted_latent=advanced,
            target_latent=self._target_latent(batch, target) if weights.get("latent", 0) > 0 else None,
            pred_next=_first_step(predicted) if rolls else predicted,
            target_next=_first_step(target) if rolls else target,
            target_query_weights=targets.weight[:, 0] if rolls else targets.weight,
            pred_rollout=predicted if rolls else None,
            target_rollout=target if rolls else None,
            rollout_query_weights=targets.weight if rolls else None,
            target_grid_shape=targets.grid_shape,
            sample_weights=None if batch.valid is None else batch.valid.to(latent.dtype),
        ).components

    def _target_latent(self, batch: QueryBatch, values: dict[str, Tensor]) -> Tensor | None:
        return self._encode_target(batch.target_queries, values) if batch.latents is None else batch.latents.z1

    @torch.no_grad()
    def _encode_target(self, targets: QuerySet, values: dict[str, Tensor]) -> Tensor | None:
        """The target frames' latent, `(B, M, D)` or `(B, K, M, D)`; None if the points cannot be encoded."""
        if targets.grid_shape is None or any(values.get(n) is None for n in self.encoder.channels):
            return None
        lead = targets.coords.shape[:-2]
        flat = {name: v.flatten(0, -3) for name, v in values.items()}
        latent: Tensor = self.encoder(flat, targets.coords.flatten(0, -3), {"grid_shape": targets.grid_shape})
        return latent.unflatten(0, lead)

    @staticmethod
    def query_sets(weights: Mapping[str, float]) -> QuerySets:
        """The query sets that the losses with a weight above 0 need."""
        return QuerySets(input=weights.get("inverse_encoding", 0) > 0, lattice=weights.get("inverse_decoding", 0) > 0)

    def predict(self, batch: QueryBatch) -> dict[str, Tensor]:
        """See `Model.predict`."""
        return self.predict_at(batch.inputs, batch.dt, batch.params, batch.target_queries.coords)

    @torch.no_grad()
    def predict_at(
        self, inputs: EncoderInput, dt: Tensor, params: dict[str, Tensor], points: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Physical fields at the target time, wherever one likes.

        Args:
            points: `(1|B, Q, d)`, for dt `(B, K)` also `(1|B, K, Q, d)`; None: the input's own points.

        Returns:
            field → `(B, Q, C)`, or `(B, K, Q, C)` for dt `(B, K)`. Decoded in chunks, without gradients.
        """
        points = inputs.coords if points is None else points
        latent = self.advance(self.encode_inputs(inputs), dt, params)
        if latent.dim() == 3:
            return self.normalizer.inverse(decode_dense(self.decoder, points, latent))
        of_step = points.unbind(1) if points.dim() == 4 else [points] * latent.shape[1]
        steps = [decode_dense(self.decoder, p, state) for p, state in zip(of_step, latent.unbind(1), strict=True)]
        return self.normalizer.inverse({name: torch.stack([s[name] for s in steps], dim=1) for name in steps[0]})


def _first_step(fields: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if fields is None else {name: values[:, 0] for name, values in fields.items()}


def build(manifest: Manifest, options: Mapping[str, Any], data: TrainedOn) -> Model:
    """The built-in model by the road of every other: `model.target: "ups_data.models.reference:build"`. It is a
    `UpsModel` for grids and a `PointsModel` for points.

    Args:
        options: `dim`, `tokens`, `depth`, `heads`, …, see `ModelConfig`.

    Raises:
        UpsDataError: see `build_model`; an option that it does not have.
    """
    try:
        sizes = ModelConfig.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        raise UpsDataError(f"model.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if manifest.grid is None:
        return build_points(manifest, data, sizes)
    return build_model(data.root, manifest, data, sizes)


def build_model(root: str | Path, manifest: Manifest, data: TrainedOn, model: ModelConfig) -> UpsModel:
    """A fresh model for a dataset, with the training split's statistics.

    It encodes the input fields (times input steps) and decodes input and target fields alike: inputs for the
    inverse-encoding loss, targets for the prediction.

    Raises:
        UpsDataError: the dataset has no grid, or the model's sizes do not fit it.
    """
    if manifest.grid is None:
        raise UpsDataError(
            f"{root}: `build_model` makes the model for grids, and this dataset has points: call `build_points`"
        )
    inputs = data.input_fields or [f.name for f in manifest.fields]
    targets = data.target_fields or manifest.default_targets()
    decoded = list(dict.fromkeys([*inputs, *targets]))
    specs = {name: manifest.field(name) for name in decoded}
    tokens, patch = token_lattice(manifest.grid.shape, model.tokens)

    channels = {n: specs[n].channels * (1 if specs[n].static else data.input_steps) for n in inputs}
    return UpsModel(
        Normalizer.of_dataset(manifest, decoded, split=data.train_split),
        Conditioning.of_dataset(manifest, split=data.train_split, dt_stride=data.dt_stride),
        GridEncoder(channels, tokens, patch, model.dim),
        LatentOperator(model.dim, tokens, model.depth, model.heads, params=len(manifest.params)),
        AnyPointDecoder({n: specs[n].channels for n in decoded}, tokens, patch, model.dim, model.heads),
    )


def token_lattice(
    grid: Sequence[int], tokens: int | Sequence[int] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens and cells per token along each array axis; their product covers the grid.

    `tokens` None: 64, 16 or 6 along each of 1, 2 or 3 axes, but at least two cells per token.
    """
    if tokens is None:
        wanted = [min(DEFAULT_TOKENS[len(grid)], max(1, n // 2)) for n in grid]
    else:
        wanted = [tokens] * len(grid) if isinstance(tokens, int) else list(tokens)
    if len(wanted) != len(grid) or any(not 1 <= t <= n for t, n in zip(wanted, grid, strict=True)):
        raise UpsDataError(f"model.tokens={tokens} does not fit a grid of {tuple(grid)}: give 1 to n along each axis")
    return tuple(wanted), tuple(-(-n // t) for n, t in zip(grid, wanted, strict=True))
