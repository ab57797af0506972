"""Queries between the points of a grid, and the multilinear interpolation that gives their targets."""

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.random import child_keys, random_bits

JITTER = 1 << 40  # a number of the key's sequence that no sampler reaches


def jitter(draw: Draw, domain: Domain, keys: NDArray[np.uint64]) -> Draw:
    """Move every drawn point to a uniform place in its own cell, half a cell to every side.

    As the points' cells tile the domain, strata of points become strata of the continuous domain. At an end of the
    domain that is not periodic, what would leave it stays on it. So the weighted mean of the interpolated field remains
    an unbiased estimate of the dense mean: the weights that a point's value gets from its own and the neighbours'
    cells add up to one.

    Returns:
        the draw with its `offset`.

    Raises:
        UpsDataError: for a point set.
    """
    if domain.grid_shape is None:
        raise UpsDataError("off_grid needs a grid to interpolate on, and this domain is a set of points: leave it out")
    shape = (len(keys), draw.points.shape[1], len(domain.grid_shape))
    numbers = shape[1] * shape[2]
    bits = random_bits(child_keys(keys, JITTER), (numbers + 1) // 2).view(np.uint32)[:, :numbers]
    offset = np.multiply(bits >> np.uint32(8), 2.0**-24, dtype=np.float32).reshape(shape)
    offset -= np.float32(0.5)
    for axis, (cell, cells) in enumerate(zip(_cells(draw, domain), domain.grid_shape, strict=True)):
        if not domain.periodic[axis]:
            along = offset[..., axis]
            np.maximum(along, 0, out=along, where=cell == 0)
            np.minimum(along, 0, out=along, where=cell == cells - 1)
    return dataclasses.replace(draw, offset=offset)


def interpolation(draw: Draw, domain: Domain) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Multilinear interpolation at the points of an off-grid draw: value = (values[corners] * weights).sum(-1).

    Returns:
        corners `(B, Q, 2^d)` int64, row-major point numbers of the corners of the cell between grid points that
        holds the query, around the domain on periodic axes; weights `(B, Q, 2^d)` float32, not negative, sum 1.

    Raises:
        UpsDataError: for a draw without offsets.
    """
    if draw.offset is None or domain.grid_shape is None:
        raise UpsDataError("interpolation needs the offsets of an off-grid draw on a grid: draw with off_grid=True")
    near, far, fraction = [], [], []
    stride = domain.num_points
    for axis, (cell, cells) in enumerate(zip(_cells(draw, domain), domain.grid_shape, strict=True)):
        stride //= cells
        offset = draw.offset[..., axis]
        other = cell + np.where(offset < 0, -1, 1)
        # Off the end only with weight 0 where the axis is not periodic: any cell will do.
        near.append(cell * stride)
        far.append(other % cells * stride)
        fraction.append(np.abs(offset))
    corners = np.empty((*draw.points.shape, 2 ** len(near)), np.int64)
    weights = np.empty(corners.shape, np.float32)
    for number, sides in enumerate(itertools.product((False, True), repeat=len(near))):
        corner, weight = np.zeros((), np.int64), np.ones((), np.float32)
        for side, this, that, share in zip(sides, near, far, fraction, strict=True):
            corner = corner + (that if side else this)
            weight = weight * (share if side else 1 - share)
        corners[..., number], weights[..., number] = corner, weight
    return corners, weights


def coordinates(draw: Draw, domain: Domain) -> NDArray[np.float32]:
    """Where the queries of an off-grid draw are, in the domain's coordinates: `(B, Q, d)` float32, components x, y, z.

    A cell beyond the last point of a periodic axis is as wide as the one before it, so that positions run half a cell
    past both ends, where the grid's points are the centres of the cells of the periodic domain.

    Raises:
        UpsDataError: for a draw without offsets, or a domain without coordinates.
    """
    if draw.offset is None or domain.grid_shape is None or domain.coords is None:
        raise UpsDataError("coordinates off the grid need the offsets of an off-grid draw and the grid's coordinates")
    axes = len(domain.grid_shape)
    lattice = domain.coords.reshape(*domain.grid_shape, axes)
    out = np.empty((*draw.points.shape, axes), np.float32)
    for axis, cell in enumerate(_cells(draw, domain)):
        component = axes - 1 - axis
        line = tuple(slice(None) if a == axis else 0 for a in range(axes))
        along = lattice[(*line, component)]
        widths = np.diff(along) if len(along) > 1 else np.zeros(1, along.dtype)
        offset = draw.offset[..., axis]
        side = np.clip(cell - (offset < 0), 0, len(widths) - 1)
        out[..., component] = along[cell] + offset * widths[side]
    return out


def _cells(draw: Draw, domain: Domain) -> tuple[NDArray[np.int64], ...]:
    """The cell numbers of the drawn points along each axis, `(B, Q)` each."""
    return np.unravel_index(draw.points, domain.grid_shape or ())
