"""`UpsModel`: normalisation, encoder, operator and decoder as one module, and how it is sized for a dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ups_data.batch import EncoderInput
from ups_data.errors import UpsDataError
from ups_data.models.conditioning import Conditioning
from ups_data.models.config import ModelConfig
from ups_data.models.decoder import AnyPointDecoder, decode_dense
from ups_data.models.encoder import GridEncoder
from ups_data.models.normalize import Normalizer
from ups_data.models.operator import LatentOperator
from ups_data.schema import Manifest

# Tokens along each axis, by number of axes: enough for detail, few enough for attention between all of them.
DEFAULT_TOKENS = {1: 64, 2: 16, 3: 6}


class TrainedOn(Protocol):
    """What a model must know of the data that it is trained on."""

    @property
    def input_fields(self) -> Sequence[str] | None: ...
    @property
    def target_fields(self) -> Sequence[str] | None: ...
    @property
    def input_steps(self) -> int: ...
    @property
    def dt_stride(self) -> int: ...
    @property
    def train_split(self) -> str: ...


class UpsModel(nn.Module):
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

    def encode(self, inputs: EncoderInput) -> Tensor:
        """Physical fields `(B, N, C)` → latent `(B, M, D)`."""
        return self.encoder(self.normalizer(inputs.fields), inputs.coords, {"grid_shape": inputs.grid_shape})

    def advance(self, latent: Tensor, dt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Latent now → latent at the target: `dt` `(B,)` gives `(B, M, D)`; `(B, K)`, times from the input frame to
        each target, gives `(B, K, M, D)`, one operator step per target."""
        dt, conditions = self.conditioning.time(dt), self.conditioning.params(params)
        if dt.dim() == 1:
            return self.operator(latent, dt, conditions)
        return self.operator.rollout(latent, dt.diff(dim=1, prepend=torch.zeros_like(dt[:, :1])), conditions)

    def decode(self, points: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Normalised fields at points: `(B, Q, d)` with `(B, M, D)`, or a step axis behind B in both."""
        if latent.dim() == 3:
            return self.decoder(points, latent)
        flat = self.decoder(points.flatten(0, 1), latent.flatten(0, 1))
        return {name: values.unflatten(0, latent.shape[:2]) for name, values in flat.items()}

    @torch.no_grad()
    def predict(
        self, inputs: EncoderInput, dt: Tensor, params: dict[str, Tensor], points: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Physical fields at the target time, at `points` `(1|B, Q, d)` (None: the input's own points).

        Returns:
            field → `(B, Q, C)`, or `(B, K, Q, C)` for dt `(B, K)`. Decoded in chunks, without gradients.
        """
        points = inputs.coords if points is None else points
        latent = self.advance(self.encode(inputs), dt, params)
        if latent.dim() == 3:
            return self.normalizer.inverse(decode_dense(self.decoder, points, latent))
        steps = [decode_dense(self.decoder, points, state) for state in latent.unbind(1)]
        return self.normalizer.inverse({name: torch.stack([s[name] for s in steps], dim=1) for name in steps[0]})


def build_model(root: str | Path, manifest: Manifest, data: TrainedOn, model: ModelConfig) -> UpsModel:
    """A fresh model for a dataset, with the training split's statistics.

    It encodes the input fields (times input steps) and decodes input and target fields alike: inputs for the
    inverse-encoding loss, targets for the prediction.

    Raises:
        UpsDataError: the dataset has no grid, or the model's sizes do not fit it.
    """
    if manifest.grid is None:
        raise UpsDataError(f"{root}: the reference encoder takes grids, and this dataset has points")
    everything = [f.name for f in manifest.fields]
    inputs, targets = data.input_fields or everything, data.target_fields or everything
    decoded = list(dict.fromkeys([*inputs, *targets]))
    specs = {name: manifest.field(name) for name in decoded}
    statistics = manifest.split(data.train_split).statistics
    tokens, patch = token_lattice(manifest.grid.shape, model.tokens)

    channels = {n: specs[n].channels * (1 if specs[n].static else data.input_steps) for n in inputs}
    return UpsModel(
        Normalizer({n: statistics[n].mean for n in decoded}, {n: statistics[n].std for n in decoded}),
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
