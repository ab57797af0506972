"""`Normalizer`: physical units ↔ zero mean and unit variance per channel."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ups_data.schema import Manifest


class Normalizer(nn.Module):
    """Per channel `(x − mean) / std`, with the statistics of the training split.

    Args:
        mean, std: field → one number per channel, in the field's units. A channel that does not vary (std 0 or not
            finite) is only shifted.

    Called with field → `(..., C)` in physical units; `inverse` undoes it. Fields it does not know raise KeyError.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Mapping[str, Sequence[float]], std: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        self.channels = {name: len(values) for name, values in mean.items()}
        spread = torch.tensor([s for name in mean for s in std[name]], dtype=torch.float32)
        self.register_buffer("mean", torch.tensor([m for values in mean.values() for m in values], dtype=torch.float32))
        self.register_buffer("std", torch.where((spread > 0) & spread.isfinite(), spread, torch.ones_like(spread)))

    @classmethod
    def of_dataset(
        cls, manifest: Manifest, fields: Sequence[str] | None = None, *, split: str = "train"
    ) -> "Normalizer":
        """The statistics of a split, the training split's by default.

            normalizer = Normalizer.of_dataset(loader.manifest)

        Args:
            fields: their names; None: all.

        Raises:
            UpsDataError: no such split or field.
        """
        statistics = manifest.split(split).statistics
        names = [manifest.field(name).name for name in fields or [f.name for f in manifest.fields]]
        return cls({n: statistics[n].mean for n in names}, {n: statistics[n].std for n in names})

    def forward(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Field → `(..., C)` in physical units → the same with zero mean and unit variance in each channel."""
        mean, std = self._split(self.mean), self._split(self.std)
        return {name: (x - mean[name]) / std[name] for name, x in fields.items()}

    def inverse(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What undoes `forward`: normalised → physical units."""
        mean, std = self._split(self.mean), self._split(self.std)
        return {name: x * std[name] + mean[name] for name, x in fields.items()}

    def _split(self, values: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.channels, values.split(list(self.channels.values())), strict=True))
