"""What an encoder made of a batch's frames, beside its query sets."""

from dataclasses import dataclass

from torch import Tensor

from ups_data.batch.records import Record


@dataclass(frozen=True, repr=False)
class Latents(Record):
    """Stored latents of a batch's input and target frames.

    Attributes:
        z0: `(B, M, D)` float32, of the input frame.
        z1: `(B, M, D)` of the target frame; `(B, K, M, D)` for a horizon K > 1.
    """

    z0: Tensor
    z1: Tensor

    def summary(self) -> str:
        """How many tokens of what width."""
        return f"{self.z0.shape[1]} tokens of width {self.z0.shape[2]}"
