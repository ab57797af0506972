"""Where a prediction is asked for: a dataset's own points, a grid of another resolution, or given points."""

import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ups_data.atomic import open_regular
from ups_data.errors import UpsDataError
from ups_data.points.coords import outer_coords
from ups_data.schema import Manifest, limits
from ups_data.trajectory import Axis

MOST_BYTES = 1024**3  # of a file of points


@dataclass(frozen=True)
class Places:
    """Points that are the same for every trajectory.

    Attributes:
        physical: `(Q, d)` in the dataset's units.
        normalised: `(Q, d)` float32, as models take them.
        axes: of the grid that the points form, in array order; None: they form none.
    """

    physical: np.ndarray
    normalised: np.ndarray
    axes: tuple[Axis, ...] | None = None


def at_resolution(manifest: Manifest, text: str) -> Places:
    """Points of a grid of that many points along each axis, `512x512` in array order, over the same domain.

    Raises:
        UpsDataError: the dataset has no grid, or another number of axes.
    """
    try:
        shape = [int(n) for n in text.lower().replace("×", "x").split("x")]
    except ValueError:
        shape = []
    if shape and math.prod(shape) > limits.POINTS:
        raise UpsDataError(f"--resolution {text}: is {math.prod(shape):,} points: give at most {limits.POINTS:,}")
    if manifest.grid is None:
        raise UpsDataError(f"--resolution {text}: the data are points and have no grid: give --points FILE")
    if len(shape) != len(manifest.grid.shape) or min(shape, default=0) < 1:
        example = "x".join(map(str, manifest.grid.shape))
        raise UpsDataError(f"--resolution {text}: give points along each axis, such as {example}")
    axes, normalised = [], []
    for spec, n in zip(manifest.grid.axes, shape, strict=True):
        first, last = spec.physical[0], spec.physical[-1]
        physical = np.linspace(first, last, n) if n > 1 else np.array([(first + last) / 2])
        axes.append(Axis(spec.name, physical, spec.units, spec.periodic))
        normalised.append(_normalised(physical, spec.physical, spec.normalised).astype(np.float32))
    physical_axes = [np.asarray(a.coordinates) for a in axes]
    return Places(_outer(physical_axes), outer_coords(normalised), tuple(axes))


def at_points(manifest: Manifest, path: Path) -> Places:
    """The points of a file, in physical units, x, y(, z).

    Raises:
        UpsDataError: it cannot be read, has other dimensions, or a point lies outside the grid's domain.
    """
    points = read_points(path)
    if manifest.sets is not None:
        raise UpsDataError(f"--points {path}: the data have several sets of points: predict at their own points")
    dim = len(manifest.grid.shape) if manifest.grid is not None else manifest.point_set(None).dim
    if points.shape[1] != dim:
        raise UpsDataError(f"{path}: has points of {points.shape[1]} coordinates, the data have {dim}: give x, y, …")
    if manifest.grid is None:
        origin = manifest.point_set(None).origin
        return Places(points, (points - (0.0 if origin is None else np.asarray(origin))).astype(np.float32))
    normalised = np.empty(points.shape, np.float32)
    for component, spec in enumerate(reversed(manifest.grid.axes)):  # x runs along the last array axis
        ends = sorted((spec.physical[0], spec.physical[-1]))
        check_inside(points[:, component], ends[0], ends[1], f"{path}: axis {spec.name!r}")
        normalised[:, component] = _normalised(points[:, component], spec.physical, spec.normalised)
    return Places(points, normalised)


def nearest_points(manifest: Manifest, places: Places) -> np.ndarray:
    """`(Q,)`, the row-major number of the point of a dataset's grid that each place is nearest to."""
    assert manifest.grid is not None
    found = np.zeros(len(places.normalised), np.int64)
    for axis, spec in enumerate(manifest.grid.axes):
        along = np.asarray(spec.normalised)
        between = (along[1:] + along[:-1]) / 2
        at = places.normalised[:, len(manifest.grid.axes) - 1 - axis]  # x runs along the last array axis
        number = np.searchsorted(between, at) if along[0] <= along[-1] else np.searchsorted(-between, -at)
        found = found * len(along) + number
    return found


def check_inside(values: np.ndarray, low: float, high: float, where: str) -> None:
    """Refuse points outside of a domain, but for rounding.

    Raises:
        UpsDataError: names the first one, and the domain.
    """
    room = 1e-6 * max(high - low, abs(low), abs(high))
    outside = np.flatnonzero(~((values >= low - room) & (values <= high + room)))
    if len(outside):
        raise UpsDataError(
            f"{where}: point {outside[0]} at {values[outside[0]]:g} lies outside the domain, {low:g} to {high:g}: "
            "give points inside, in the units of the data"
        )


def read_points(path: Path) -> np.ndarray:
    """`(Q, d)` float64 of a `.npy`, `.csv` or `.txt` file.

    Raises:
        UpsDataError: no such file, or no table of 1 to 3 finite numbers a point.
    """
    if path.suffix not in (".npy", ".csv", ".txt"):
        raise UpsDataError(f"{path}: give points as .npy, .csv or .txt, one a row")
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns of a file without numbers
            if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
                raise ValueError(f"{size:,} bytes, at most {MOST_BYTES:,} are read")
            if path.suffix == ".npy":
                points = _array(file, size)
            else:
                points = np.loadtxt(file, delimiter="," if path.suffix == ".csv" else None, ndmin=2)
        if points.dtype.kind not in "biuf":
            raise ValueError(f"it holds {points.dtype}")
        points = np.asarray(points, np.float64)
    except Exception as error:  # numpy raises what Python's parser does, too
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UpsDataError(f"{path}: cannot be read ({reason}): give points as .npy, .csv or .txt, one a row") from None
    if points.ndim != 2 or not len(points) or points.shape[1] not in (1, 2, 3) or not np.isfinite(points).all():
        raise UpsDataError(f"{path}: holds an array of shape {points.shape}: give finite points (Q, d), d = 1 to 3")
    return points


def _array(file: BinaryIO, size: int) -> np.ndarray:
    """The array of a `.npy` file of that many bytes, if it has those that it claims: numpy takes memory for them first.

    Raises:
        Exception: whatever numpy raises; it claims more.
    """
    major, _ = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} in {size:,} bytes")
    file.seek(0)
    array: np.ndarray = np.load(file, allow_pickle=False)
    return array


def _normalised(values: np.ndarray, physical: list[float], normalised: list[float]) -> np.ndarray:
    """Physical coordinates along an axis as batches carry them, linear between the grid's points."""
    p, n = np.asarray(physical), np.asarray(normalised)
    return np.interp(values, p, n) if p[0] <= p[-1] else np.interp(-values, -p, n)


def _outer(axes: list[np.ndarray]) -> np.ndarray:
    mesh = np.meshgrid(*axes, indexing="ij")
    return np.stack([m.ravel() for m in reversed(mesh)], axis=-1)
