"""Stored latents: every frame encoded once, so that an operator can be trained without its encoder."""

from ups_data.training.latents.beside import LatentLoader, with_latents
from ups_data.training.latents.digest import encoder_digest
from ups_data.training.latents.write import write_latents

__all__ = ["LatentLoader", "encoder_digest", "with_latents", "write_latents"]
