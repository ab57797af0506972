"""A file of simulations in PDEBench's layout."""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from ups_data.cli.problems.diffusion_reaction import DU, DV, END, K, solve, white_noise
from ups_data.cli.problems.out_folder import written_whole

BATCH = 4  # trajectories that are solved at once: as many as stay in a core's cache

CONFIG = """\
name: 2d_diff-react
sim:
  Du: {du}
  Dv: {dv}
  k: {k}
  n: 1
  seed: {seed}
  t: {end}
  tdim: {steps}
  x_left: -1.0
  x_right: 1.0
  xdim: {size}
  y_bottom: -1.0
  y_top: 1.0
  ydim: {size}
"""


def write_simulations(
    out: Path,
    *,
    trajectories: int,
    size: int,
    steps: int,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Solve diffusion–reaction from several seeds and write an HDF5 file; a run that fails leaves none.

    Args:
        out: the file.
        trajectories: number of runs; run i starts from the noise of `seed + i`.
        size: cells along each axis.
        steps: frames in t = 0 to 5, the first one included.
        force: replace `out` if it exists.
        progress: called with (runs done, runs in all).

    Raises:
        UpsDataError: `out` exists, or its folder does not.
    """
    times = np.linspace(0.0, END, steps)
    with written_whole(out, force=force) as aside, h5py.File(aside, "x") as file:
        for first in range(0, trajectories, BATCH):
            numbers = range(first, min(first + BATCH, trajectories))
            initial = np.stack([white_noise(size, seed + number) for number in numbers])
            for number, data in zip(numbers, solve(initial, times), strict=True):
                write_group(file, seed + number, number, data, times)
            progress(numbers.stop, trajectories)


def write_group(file: h5py.File, seed: int, number: int, data: np.ndarray, times: np.ndarray) -> None:
    """One trajectory `(T, n, n, 2)` as PDEBench writes it."""
    size = data.shape[1]
    centres = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    config = CONFIG.format(du=DU, dv=DV, k=K, seed=seed, end=END, steps=len(times), size=size)
    write_run(file, number, data, {"x": centres, "y": centres, "t": times}, config)


def write_run(file: h5py.File, number: int, data: np.ndarray, grid: Mapping[str, np.ndarray], config: str) -> None:
    """One trajectory `(T, …, C)` in PDEBench's layout, with the coordinates of each axis and how it was simulated."""
    group = file.create_group(f"{number:04d}")
    group.create_dataset("data", data=data)
    for name, values in grid.items():
        group.create_dataset(f"grid/{name}", data=values.astype(np.float32))
    group.attrs["config"] = config
