"""Fronts that steepen into shocks, collide and fade, in a periodic square: Burgers' equation without viscosity.

    ∂u/∂t + ∂(u²/2)/∂x + ∂(u²/2)/∂y = 0

Finite volumes with Godunov's flux, which is exact between two cells of a convex flux (S. K. Godunov, 1959; R. J.
LeVeque, "Finite Volume Methods for Hyperbolic Problems", 2002, section 12.2), on cells of half the size, whose means
are written: so shocks are one or two cells wide.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ups_data.cli.problems.out_folder import written_whole
from ups_data.cli.problems.pdebench_file import write_run

END, HIGHEST = 0.4, 2  # time; waves in the square at first
FINER, COURANT = 2, 0.8
CONFIG = "sim:\n  flux: u^2 / 2 along both axes\n"


def initial(seed: int, number: int, size: int) -> np.ndarray:
    """`(n, n)` at time 0: a few long waves of random amplitude and phase, of mean 0 and variance 1."""
    rng = np.random.default_rng([seed, number])
    at = (np.arange(size) + 0.5) / size
    field = np.zeros((size, size))
    for kx in range(-HIGHEST, HIGHEST + 1):
        for ky in range(HIGHEST + 1):
            phase = 2 * np.pi * (kx * at[:, None] + ky * at[None, :] + rng.random())
            field += rng.standard_normal() * np.cos(phase)
    field -= field.mean()
    return field / field.std()


def solve(start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`(n, n)` cell means at `times[0]` → `(T, n, n)` at all of `times`; the mean over all cells stays."""
    u, frames = start.astype(float), [start.astype(float)]
    for interval in np.diff(times):
        left = float(interval)
        while left > 0:
            # Both axes at once: the step is bounded by the sum of their speeds.
            step = min(left, COURANT / (2 * max(float(np.abs(u).max()), 1e-12) * len(u)))
            u = u - step * len(u) * sum(_outflow(u, axis) for axis in (0, 1))
            left -= step
        frames.append(u)
    return np.stack(frames)


def write_shocks(
    out: Path,
    *,
    cases: int,
    size: int,
    steps: int,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an HDF5 file in PDEBench's layout: `0000/data` [T, X, Y, 1]; a run that fails leaves none.

    Raises:
        UpsDataError: `out` exists, or its folder does not.
    """
    times = np.linspace(0.0, END, steps)
    with written_whole(out, force=force) as aside, h5py.File(aside, "x") as file:
        for number in range(cases):
            fine = solve(initial(seed, number, FINER * size), times)
            data = fine.reshape(steps, size, FINER, size, FINER).mean((2, 4))
            along = (np.arange(size, dtype=np.float32) + 0.5) / size
            write_run(file, number, data.astype(np.float32)[..., None], {"x": along, "y": along, "t": times}, CONFIG)
            progress(number + 1, cases)


def _outflow(u: np.ndarray, axis: int) -> np.ndarray:
    """Of each cell, along an axis; Godunov's flux through its upper side is the larger of what flows up from below and
    down from above."""
    above = np.roll(u, -1, axis)
    flux: np.ndarray = 0.5 * np.maximum(np.maximum(u, 0.0) ** 2, np.minimum(above, 0.0) ** 2)
    return flux - np.roll(flux, 1, axis)
