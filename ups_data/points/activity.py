"""How much happens in each tile of a frame: the importance that is stored with the data.

Only the ratios between the tiles of one frame matter to a draw, so each frame is scaled to a largest tile of 1, which
float16 holds whatever the units. The work space is one channel of a frame in float64, a few times over.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.points.part import Part
from ups_data.points.tiles import Tiles

Metric = Literal["gradient", "variance"]


def tile_importance(
    metric: Metric, frame: NDArray[np.floating], domain: Domain, tiles: Tiles, std: Sequence[float] | None = None
) -> NDArray[np.float16]:
    """The importance of each tile of a frame: its `tile_activity`, `scaled`.

    Returns:
        `(K,)` float16 in [0, 1], the largest 1; zeros for a constant frame. If the frame holds a NaN or an infinite
        value, NaN in every tile: a draw then prefers no tile.

    Raises:
        UpsDataError: the frame does not have the domain's points.
    """
    return scaled(tile_activity(metric, frame, domain, tiles, std)[None])[0]


def tile_activity(
    metric: Metric, frame: NDArray[np.floating], domain: Domain, tiles: Tiles, std: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """How much a frame varies in each of its tiles, summed over the channels, each divided by its standard deviation.

    - `gradient`: the mean over the tile of the squared magnitude of the gradient. On grids by central differences,
      one-sided at ends that are not periodic, per cell along every axis. On point sets the slope, squared, of the plane
      that fits the tile's points best (least squares), which needs no neighbours and no mesh.
    - `variance`: the variance of the tile's points.

    Args:
        frame: `(N, C)`, or `(*grid, C)`; the activities of several fields may be added up.
        domain: the frame's points, or a `Part` of them that count, to which alone the activity then looks; `periodic`
            and, for the gradient of a point set, `coords` matter.
        tiles: of that domain.
        std: the standard deviation of each channel, over the dataset; by default over this frame. A channel whose
            standard deviation is 0 is left out.

    Returns:
        `(K,)`; not finite if the frame holds a value that is not finite.

    Raises:
        UpsDataError: the frame does not have the domain's points.
    """
    channels = frame.shape[-1] if frame.ndim > 1 else 0
    if channels == 0 or frame.size != domain.all_points * channels:
        raise UpsDataError(f"frame has shape {frame.shape}: give ({domain.all_points}, C) for this domain")
    values = frame.reshape(domain.all_points, channels)
    if isinstance(domain, Part):
        values = values[domain.candidates]
    total = np.zeros(len(tiles))
    for channel in range(channels):
        centred = values[:, channel].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            centred -= centred.mean()  # so that a large offset costs no digits
            # By its own largest value first: squares of what float64 holds may overflow.
            scale = np.abs(centred).max() or 1.0
            centred /= scale
            deviation = centred.std() if std is None else std[channel] / scale
            if deviation > 0:
                total += _of_channel(metric, centred / deviation, domain, tiles)
            elif not np.isfinite(scale):
                total[:] = np.nan
    return total


def scaled(activity: NDArray[np.float64]) -> NDArray[np.float16]:
    """Rows of activities `(n, K)`, each divided by its largest; NaN everywhere in a row that is not finite."""
    with np.errstate(invalid="ignore"):
        largest = activity.max(axis=1, keepdims=True)
        rows = activity / np.where(largest > 0, largest, 1.0)
        rows[~np.isfinite(activity).all(axis=1)] = np.nan
    return rows.astype(np.float16)


def _of_channel(metric: Metric, values: NDArray[np.float64], domain: Domain, tiles: Tiles) -> NDArray[np.float64]:
    if metric == "variance":
        deviation = values - tiles.mean(values)[tiles.of_point]
        return tiles.mean(np.square(deviation, out=deviation))
    if isinstance(domain, Part) and domain.whole is not None and domain.whole.grid_shape is not None:
        return tiles.mean(_gradient_beside_holes(values, domain, domain.whole))
    if domain.grid_shape is not None:
        return tiles.mean(squared_gradient(values.reshape(domain.grid_shape), domain.periodic).ravel())
    return _squared_slope(values, domain, tiles)


def squared_gradient(values: NDArray[np.floating], periodic: Sequence[bool]) -> NDArray[np.float64]:
    """Squared magnitude of a scalar field's gradient on a grid, per cell: central differences, around periodic axes,
    one-sided at other ends. An axis of one point has none."""
    total = np.zeros(values.shape)
    for axis, around in enumerate(periodic):
        if values.shape[axis] == 1:
            continue
        if around:
            slope = 0.5 * (np.roll(values, -1, axis) - np.roll(values, 1, axis))
        else:
            slope = np.gradient(values, axis=axis)
        total += np.square(slope, out=slope)
    return total


def _gradient_beside_holes(values: NDArray[np.float64], part: Part, whole: Domain) -> NDArray[np.float64]:
    """`squared_gradient` at the points that count, `(M,)`, from differences between such points only: central, or
    one-sided beside one that does not count; none between two of them."""
    assert whole.grid_shape is not None
    grid, counted = np.zeros(whole.num_points), part.counted.reshape(whole.grid_shape)
    grid[part.candidates] = values
    grid = grid.reshape(whole.grid_shape)
    total = np.zeros(grid.shape)
    for axis, around in enumerate(whole.periodic):
        slope, number = np.zeros(grid.shape), np.zeros(grid.shape)
        for step in (1, -1):
            there = np.roll(counted, -step, axis) & counted
            if not around:
                np.moveaxis(there, axis, 0)[-1 if step == 1 else 0] = False
            slope += np.where(there, (np.roll(grid, -step, axis) - grid) * step, 0.0)
            number += there
        total += np.square(slope / np.maximum(number, 1))
    return total.ravel()[part.candidates]


def _squared_slope(values: NDArray[np.float64], domain: Domain, tiles: Tiles) -> NDArray[np.float64]:
    """|b|² of the least-squares plane a + b · x through each tile's points, `(K,)`.

    b solves (X + ε tr(X)) b = c, with X the covariance of the tile's coordinates and c theirs with the values. With
    ε = 1e-4, directions in which the tile measures less than a hundredth of its size count for little, as across a
    surface.
    """
    if domain.coords is None:
        raise UpsDataError("the gradient on a point set needs its coordinates: use the metric 'variance'")
    x = np.asarray(domain.coords, np.float64)
    x = x - tiles.mean(x)[tiles.of_point]
    f = values - tiles.mean(values)[tiles.of_point]
    axes = x.shape[1]
    spread = np.empty((len(tiles), axes, axes))
    for i in range(axes):
        for j in range(i, axes):
            spread[:, i, j] = spread[:, j, i] = tiles.mean(x[:, i] * x[:, j])
    along = np.stack([tiles.mean(x[:, i] * f) for i in range(axes)], axis=-1)
    extent = np.trace(spread, axis1=1, axis2=2)
    spread += (1e-4 * np.where(extent > 0, extent, 1.0))[:, None, None] * np.eye(axes)
    slope = np.linalg.solve(spread, along[..., None])[..., 0]
    return np.square(slope).sum(axis=1)
