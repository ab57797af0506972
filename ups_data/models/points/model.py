"""`PointsModel`: normalisation, supernodes, latent operator and decoders as one module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ups_data.batch import EncoderInput, QueryBatch, QuerySet
from ups_data.errors import UpsDataError
from ups_data.models.conditioning import Conditioning
from ups_data.models.normalize import Normalizer
from ups_data.models.points.attention import TokenOperator
from ups_data.models.points.decoder import PointDecoder
from ups_data.models.points.encoder import PointsEncoder
from ups_data.models.protocol import LossContext, Model, QuerySets, query_errors

OPERATOR_TERMS, INVERSE_TERMS = ("prediction", "rollout"), ("inverse_encoding", "inverse_decoding")
CHUNK = 16384  # points times samples that are decoded at once without gradients


def key_of(set_name: str | None) -> str:
    """What a set's modules are called: names of modules must not contain dots."""
    return "points" if set_name is None else set_name.replace(".", "_")


class PointsModel(Model):
    """Encode points of one or several sets, advance the latent, decode at any points of any set (after Alkin et al.
    2024, "Universal physics transformers").

    Latents and losses live in normalised space; `predict` and `decode` answer in physical units. The latent depends on
    the inputs only: encode once, and decode as many queries as you like.

    Args:
        normalizer, conditioning: of the training split.
        encoder: see `PointsEncoder`.
        operator: see `TokenOperator`.
        decoders: key of a set → its decoder, see `key_of`.
    """

    def __init__(
        self,
        normalizer: Normalizer,
        conditioning: Conditioning,
        encoder: PointsEncoder,
        operator: TokenOperator,
        decoders: Mapping[str, PointDecoder],
    ) -> None:
        super().__init__()
        self.normalizer, self.conditioning = normalizer, conditioning
        self.encoder, self.operator, self.decoders = encoder, operator, nn.ModuleDict(decoders)

    def encode(self, batch: QueryBatch) -> Tensor:
        """See `Model.encode`: latent `(B, M, D)`, whatever the numbers of points."""
        if batch.latents is not None:
            return batch.latents.z0
        return self._encoded({name: part.inputs for name, part in sets_of(batch).items()})

    def _encoded(self, inputs: Mapping[str | None, EncoderInput]) -> Tensor:
        given = {_known_key(self.encoder.poolings, name): of_set for name, of_set in inputs.items()}
        latent: Tensor = self.encoder({key: self._known(of_set.fields) for key, of_set in given.items()}, given)
        return latent

    def advance(self, latent: Tensor, dt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """See `Model.advance`: `(B, M, D)`, or `(B, K, M, D)` for dt `(B, K)`, one operator step per target."""
        dt, conditions = self.conditioning.time(dt), self.conditioning.params(params)
        if dt.dim() == 1:
            advanced: Tensor = self.operator(latent, dt, conditions)
            return advanced
        states = []
        for step in dt.diff(dim=1, prepend=torch.zeros_like(dt[:, :1])).unbind(1):
            latent = self.operator(latent, step, conditions)
            states.append(latent)
        return torch.stack(states, dim=1)

    def decode(self, latent: Tensor, queries: QuerySet, set_name: str | None = None) -> dict[str, Tensor]:
        """See `Model.decode`."""
        return self.normalizer.inverse(self.decode_normalised(queries.coords, latent, set_name))

    def decode_normalised(self, points: Tensor, latent: Tensor, set_name: str | None = None) -> dict[str, Tensor]:
        """Normalised fields at points: `(B, Q, d)` with `(B, M, D)`, or a step axis behind B in both."""
        decoder = self.decoders[_known_key(self.decoders, set_name)]
        if latent.dim() == 3:
            found: dict[str, Tensor] = decoder(points, latent)
            return found
        flat = decoder(points.flatten(0, 1), latent.flatten(0, 1))
        return {name: values.unflatten(0, latent.shape[:2]) for name, values in flat.items()}

    @staticmethod
    def encoder_parts() -> tuple[str, ...]:
        """See `Model`."""
        return "normalizer", "encoder"

    @staticmethod
    def query_sets(weights: Mapping[str, float]) -> QuerySets:
        """The query sets that the losses with a weight above 0 need."""
        return QuerySets(input=weights.get("inverse_encoding", 0) > 0)

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, Tensor]:
        """Each term is the mean over the fields of all sets.

        `inverse_encoding` decodes the input fields at points of the input frame from the latent before the operator;
        `inverse_decoding` decodes them at the encoder's own points and encodes that again; `latent` encodes the target
        frame at the target queries. Where the input has no fields, as for a mere shape, these terms have nothing to
        compare and are left out.

        Raises:
            UpsDataError: a term that points do not have (`spectral`).
        """
        latent = self.encode(batch)
        needs_operator = any(context.weights.get(term, 0) > 0 for term in (*OPERATOR_TERMS, "latent"))
        advanced = self.advance(latent, batch.dt, batch.params) if needs_operator else None
        reached = self._encoded_target(batch) if context.weights.get("latent", 0) > 0 else None
        terms: dict[str, list[tuple[Tensor, int]]] = {}
        errors: dict[str | None, Tensor] = {}
        for name, part in sets_of(batch).items():
            weights = dict(context.weights)
            if part is not batch:  # there is one latent for all sets
                weights["latent"] = 0.0
            found, errors[name] = self._of_set(name, batch, context, weights, latent, advanced, reached)
            for term, value in found.items():
                terms.setdefault(term, []).append((value, max(1, len(part.target_queries.values))))
        if context.on_errors is not None:
            named = {str(name): of_set for name, of_set in errors.items()}
            context.on_errors(named if batch.others else errors[batch.set_name])
        return {term: _mean(values) for term, values in terms.items()}

    def _of_set(
        self,
        name: str | None,
        batch: QueryBatch,
        context: LossContext,
        weights: dict[str, float],
        latent: Tensor,
        advanced: Tensor | None,
        reached: Tensor | None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of one set of points, and the error of each of its queries."""
        part = sets_of(batch)[name]
        queries, targets = part.input_queries, part.target_queries
        shown = self._known(part.inputs.fields)
        rolls = part.dt.dim() == 2
        if not targets.values:
            weights |= dict.fromkeys(OPERATOR_TERMS, 0.0)
        if not shown or _known_key(self.encoder.poolings, name) not in self.encoder.poolings:
            weights |= dict.fromkeys(INVERSE_TERMS, 0.0)
        target = self.normalizer(targets.values)
        predicted = None
        errors = torch.zeros_like(targets.weight)
        if advanced is not None and target:
            predicted = self.decode_normalised(targets.coords, advanced, name)
            errors = query_errors(predicted, target)
        seen = {} if queries is None else self.normalizer({n: v for n, v in queries.values.items() if n in shown})
        components = context.bundle(
            weights=weights,
            input_fields=seen or None,
            input_positions=None if queries is None else queries.coords,
            input_query_weights=None if queries is None else queries.weight,
            encoded_latent=latent,
            decoder=lambda points, state: self.decode_normalised(points, state, name),
            encoder=lambda fields, coords, meta: self._encoded_again(batch, name, fields),
            coords=part.inputs.coords,
            meta={"grid_shape": part.inputs.coords.shape[-2:-1]},
            predicted_latent=advanced,
            target_latent=reached,
            pred_next=_first_step(predicted) if rolls else predicted,
            target_next=_first_step(target) if rolls else target,
            target_query_weights=targets.weight[:, 0] if rolls else targets.weight,
            pred_rollout=predicted if rolls else None,
            target_rollout=target if rolls else None,
            rollout_query_weights=targets.weight if rolls else None,
            sample_weights=None if batch.valid is None else batch.valid.to(latent.dtype),
        ).components
        return components, errors

    def _encoded_again(self, batch: QueryBatch, name: str | None, fields: Mapping[str, Tensor]) -> Tensor:
        """The latent of the inputs with one set's values replaced by decoded ones, which are normalised already."""
        inputs = {other: part.inputs for other, part in sets_of(batch).items()}
        given = {_known_key(self.encoder.poolings, other): of_set for other, of_set in inputs.items()}
        values = {key: self._known(of_set.fields) for key, of_set in given.items()}
        values[_known_key(self.encoder.poolings, name)] = dict(fields)
        latent: Tensor = self.encoder(values, given)
        return latent

    @torch.no_grad()
    def _encoded_target(self, batch: QueryBatch) -> Tensor:
        """The latent of the target frames at the drawn points, `(B, M, D)` or `(B, K, M, D)`.

        Raises:
            UpsDataError: a field that the encoder sees is no target.
        """
        if batch.latents is not None:
            return batch.latents.z1
        lead = batch.target_queries.coords.shape[:-2]
        inputs = {}
        for name, part in sets_of(batch).items():
            targets, key = part.target_queries, _known_key(self.encoder.poolings, name)
            missing = [n for n in self.encoder.channels.get(key, {}) if n not in targets.values]
            if missing:
                raise UpsDataError(
                    f"loss 'latent' encodes the target frame, and the field {missing[0]!r} that the encoder sees is no "
                    "target: give its weight 0, or add the field to data.target_fields"
                )
            fields = {n: v.flatten(0, -3) for n, v in targets.values.items()}
            mask = None if targets.mask is None else targets.mask.flatten(0, -2)
            inputs[name] = EncoderInput(fields, targets.coords.flatten(0, -3), None, mask)
        return self._encoded(inputs).unflatten(0, lead)

    @torch.no_grad()
    def predict(self, batch: QueryBatch) -> dict[str, Tensor]:
        """See `Model.predict`: the fields of all sets, decoded in parts."""
        latent = self.advance(self.encode(batch), batch.dt, batch.params)
        size = max(1, CHUNK // latent.shape[:-2].numel())
        predicted: dict[str, Tensor] = {}
        for name, part in sets_of(batch).items():
            chunks = part.target_queries.coords.split(size, dim=-2)
            found = [self.decode_normalised(points, latent, name) for points in chunks]
            whole = {n: torch.cat([chunk[n] for chunk in found], dim=-2) for n in found[0]}
            predicted |= {n: v for n, v in whole.items() if n in part.target_queries.values}
        return self.normalizer.inverse(predicted)

    def _known(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The fields that are decoded too, normalised."""
        return self.normalizer({name: v.float() for name, v in fields.items() if name in self.normalizer.channels})


def _known_key(modules: nn.ModuleDict, set_name: str | None) -> str:
    """The key of a set; where a batch holds a single set, it has no name, and the module that there is is meant."""
    return next(iter(modules)) if set_name is None and len(modules) == 1 else key_of(set_name)


def sets_of(batch: QueryBatch) -> dict[str | None, QueryBatch]:
    """Set of points → the batch of it."""
    found: dict[str | None, QueryBatch] = {batch.set_name: batch}
    return found | dict(batch.others)


def _first_step(fields: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if fields is None else {name: values[:, 0] for name, values in fields.items()}


def _mean(values: list[tuple[Tensor, int]]) -> Tensor:
    """Of losses with the numbers of fields that they are means over."""
    total, *others = [value * fields for value, fields in values]
    for other in others:
        total = total + other
    return total / sum(fields for _, fields in values)
