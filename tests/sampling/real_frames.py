"""Real frames with the quantities whose means the tests of this room estimate."""

import functools
from dataclasses import dataclass

import h5py
import numpy as np
import torch

from tests.datasets import BURGERS, CAR_PT, DIFFUSION_REACTION, real
from tests.sampling.cases import tiles_of
from ups_data.points.activity import squared_gradient
from ups_data.points.blocks import grid_blocks, point_blocks
from ups_data.points.domain import Domain
from ups_data.points.tiles import Tiles

TILE_POINTS = 64


@dataclass(frozen=True, eq=False)
class Frame:
    """Values `(N, C)` on a domain that is stored in 16 blocks."""

    values: np.ndarray
    domain: Domain

    @functools.cached_property
    def tiles(self) -> Tiles:
        return tiles_of(self.domain, TILE_POINTS)

    @functools.cached_property
    def gradient(self) -> np.ndarray:
        """Squared gradient per cell of a grid, over all channels, each in units of its standard deviation: `(N,)`."""
        shape = self.domain.grid_shape
        scaled = (self.values / self.values.std(axis=0)).reshape(*shape, -1)
        return sum(squared_gradient(scaled[..., c], self.domain.periodic) for c in range(scaled.shape[-1])).ravel()

    @functools.cached_property
    def variance(self) -> np.ndarray:
        """Squared deviation from the tile's mean, over all channels in units of their standard deviation: `(N,)`."""
        scaled = self.values / self.values.std(axis=0)
        return np.square(scaled - self.tiles.mean(scaled)[self.tiles.of_point]).sum(axis=-1)


@functools.cache
def diffusion_reaction(trajectory: int, step: int) -> Frame:
    with h5py.File(real(DIFFUSION_REACTION)) as file:
        values = file[f"{trajectory:04d}/data"][step].astype(np.float64)
    return Frame(values.reshape(128 * 128, 2), Domain(128 * 128, (128, 128), blocks=grid_blocks((128, 128), 16)))


@functools.cache
def burgers(trajectory: int, step: int) -> Frame:
    with h5py.File(real(BURGERS)) as file:
        values = file["tensor"][trajectory, step].astype(np.float64)
    return Frame(values[:, None], Domain(1024, (1024,), blocks=grid_blocks((1024,), 16), periodic=(True,)))


@functools.cache
def car(number: int) -> Frame:
    """Pressure on a car's surface."""
    case = torch.load(real(CAR_PT), weights_only=True)[number]
    x = case["vertices"].numpy()
    blocks = point_blocks(x, block_points=-(-len(x) // 16))
    return Frame(case["press"].numpy().reshape(-1, 1).astype(np.float64), Domain(len(x), coords=x, blocks=blocks))
