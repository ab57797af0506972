"""A randomly offset coarse grid, which a grid encoder can encode again."""

import functools
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode
from ups_data.sampling.random import random_integers


def draw_lattice(domain: Domain, keys: NDArray[np.uint64], count: int) -> Draw:
    """Draw a coarse grid of `lattice_shape(domain, count)` points, its offset uniform per sample and axis.

    Along an axis of H cells the h rows are floor((i + v) H / h), v uniform in [0, 1): written with integers,
    (i H + t) // h with t uniform in 0 … H - 1, which is exact. Every row's inclusion probability is h / H and no row
    repeats; where h divides H the rows are evenly spaced, else the spacing alternates between two neighbouring
    integers. This is systematic sampling (Madow & Madow, 1944) along every axis.

    Args:
        keys: `(B,)` uint64.
        count: the number of points wished for; the shape's product is what comes.

    Returns:
        index `(B, prod(shape))`, row-major in the coarse grid; weight None; grid_shape the coarse shape.

    Raises:
        UpsDataError: for a point set.
    """
    shape = lattice_shape(domain, count)
    full_shape = domain.grid_shape or ()
    offsets = random_integers(keys, len(shape), np.array(full_shape))
    index = np.zeros((len(keys),) + (1,) * len(shape), np.int64)
    for axis, (full, coarse) in enumerate(zip(full_shape, shape, strict=True)):
        rows = (np.arange(coarse, dtype=np.int64) * full + offsets[:, axis, None]) // coarse
        index = index * full + np.expand_dims(rows, [1 + a for a in range(len(shape)) if a != axis])
    return Draw(index.reshape(len(keys), math.prod(shape)), grid_shape=shape)


def lattice_shape(domain: Domain, count: int) -> tuple[int, ...]:
    """Shape of the coarse grid nearest to `count` points with the domain's proportions.

    Every axis is scaled by the same (Q / N)^(1/d); an axis that this would leave below one row keeps one, and the
    others share out the points anew. Of the shapes that round each axis down or up, the one whose product is nearest
    to Q is taken, and of equals the one nearest to the exact proportions.

    Raises:
        UpsDataError: for a point set.
    """
    LATTICE.check(domain)
    return _nearest_shape(tuple(domain.grid_shape or ()), count)


@functools.lru_cache(maxsize=1024)
def _nearest_shape(grid_shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    exact = _scaled(grid_shape, count)
    near = [
        sorted({min(full, max(1, math.floor(x))), min(full, max(1, math.ceil(x)))})
        for full, x in zip(grid_shape, exact, strict=True)
    ]

    def misfit(shape: tuple[int, ...]) -> tuple[int, float]:
        return abs(math.prod(shape) - count), sum(abs(h / x - 1) for h, x in zip(shape, exact, strict=True))

    return min(itertools.product(*near), key=misfit)


def _scaled(grid_shape: tuple[int, ...], count: int) -> list[float]:
    """The axes' exact (fractional) numbers of rows."""
    axes = set(range(len(grid_shape)))
    while True:
        cells = math.prod(grid_shape[a] for a in axes)
        scale = (count / cells) ** (1 / len(axes)) if axes else 1.0
        thin = {a for a in axes if grid_shape[a] * scale < 1}
        if not thin:
            return [grid_shape[a] * scale if a in axes else 1.0 for a in range(len(grid_shape))]
        axes -= thin


LATTICE = Mode(
    "lattice",
    lambda r: draw_lattice(r.domain, r.keys, r.count),
    num_drawn=lambda domain, count: math.prod(lattice_shape(domain, count)),
    needs_grid=True,
    forms_lattice=True,
)
