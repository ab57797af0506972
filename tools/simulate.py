"""Simulates diffusion–reaction in two dimensions and writes it in PDEBench's layout.

FitzHugh–Nagumo on [-1, 1]² without flux through the walls:

    ∂u/∂t = Du ∆u + u - u³ - k - v,    ∂v/∂t = Dv ∆v + u - v

with Du = 1e-3, Dv = 5e-3, k = 5e-3, from white noise. Space is discretised as PDEBench does (second-order finite
volumes on cell centres), time by the classical Runge–Kutta scheme with fixed steps. With the seeds, the size (128) and
the frames of PDEBench's file it reproduces that file; `tests/sources/test_simulate.py` holds it to that.
"""

from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer
from rich.progress import track

from ups_data.cli.errors import run
from ups_data.errors import UpsDataError

DU, DV, K = 1e-3, 5e-3, 5e-3
END = 5.0  # time, as PDEBench's
BATCH = 4  # trajectories that are solved at once: as many as stay in a core's cache
REACTION = 48.0  # the decay rate of u³ where the noise is largest, 3 · 4²
STEP = 0.75  # times the fastest decay rate; the scheme is stable up to 2.78, and errs with the fourth power

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


def white_noise(size: int, seed: int) -> np.ndarray:
    """`(2, size, size)`: u and v of PDEBench's initial state for this seed, standard normal in every cell."""
    return np.random.default_rng(seed).standard_normal((2, size, size))


def rate(state: np.ndarray, spacing: float) -> np.ndarray:
    """The time derivative of `state` `(2, B, n, n)`, u and v of B trajectories."""
    flux = -4.0 * state
    flux[..., 1:, :] += state[..., :-1, :]
    flux[..., :-1, :] += state[..., 1:, :]
    flux[..., :, 1:] += state[..., :, :-1]
    flux[..., :, :-1] += state[..., :, 1:]
    # a wall's neighbour beyond it is the cell itself: no flux
    for edge in (np.s_[..., :1, :], np.s_[..., -1:, :], np.s_[..., :, :1], np.s_[..., :, -1:]):
        flux[edge] += state[edge]
    flux[0] *= DU / spacing**2
    flux[1] *= DV / spacing**2
    u, v = state
    flux[0] += u * (1.0 - u * u) - v - K
    flux[1] += u - v
    return flux


def solve(initial: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`(B, 2, n, n)` at `times[0]` → `(B, T, n, n, 2)` float32 at all of `times`.

    The step is the largest that divides a frame and keeps to STEP, for diffusion (rate 8 Dv / h²) and reaction.
    """
    spacing = 2.0 / initial.shape[-1]
    state = np.ascontiguousarray(np.moveaxis(initial, 1, 0), dtype=np.float64)
    frames = [state]
    for interval in np.diff(times):
        count = int(np.ceil(interval * (8 * DV / spacing**2 + REACTION) / STEP))
        step = interval / count
        for _ in range(count):
            a = rate(state, spacing)
            b = rate(state + 0.5 * step * a, spacing)
            c = rate(state + 0.5 * step * b, spacing)
            d = rate(state + step * c, spacing)
            state = state + (step / 6.0) * (a + 2.0 * (b + c) + d)
        frames.append(state)
    return np.stack(frames).transpose(2, 0, 3, 4, 1).astype(np.float32)


def write_group(file: h5py.File, seed: int, number: int, data: np.ndarray, times: np.ndarray) -> None:
    """One trajectory `(T, n, n, 2)` as PDEBench writes it."""
    size = data.shape[1]
    centres = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    group = file.create_group(f"{number:04d}")
    group.create_dataset("data", data=data)
    for name, values in (("x", centres), ("y", centres), ("t", times)):
        group.create_dataset(f"grid/{name}", data=values.astype(np.float32))
    group.attrs["config"] = CONFIG.format(du=DU, dv=DV, k=K, seed=seed, end=END, steps=len(times), size=size)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Argument(help="The HDF5 file to write.")],
    trajectories: Annotated[int, typer.Option(min=1, help="Number of runs; run i starts from seed + i.")] = 40,
    size: Annotated[int, typer.Option(min=2, help="Cells along each axis.")] = 64,
    steps: Annotated[int, typer.Option(min=2, help="Frames in t = 0 to 5, the first one included.")] = 21,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")] = False,
) -> None:
    """Simulate diffusion–reaction and write it in PDEBench's layout."""
    if out.exists() and not force:
        raise UpsDataError(f"{out}: exists already: choose another file or give --force")
    if not out.parent.is_dir():
        raise UpsDataError(f"{out}: the folder {out.parent} does not exist: create it")
    times = np.linspace(0.0, END, steps)
    aside = out.with_name(f".{out.name}.partial")
    try:
        with h5py.File(aside, "w") as file:
            for first in track(range(0, trajectories, BATCH), description="Simulating"):
                numbers = range(first, min(first + BATCH, trajectories))
                initial = np.stack([white_noise(size, seed + number) for number in numbers])
                for number, data in zip(numbers, solve(initial, times), strict=True):
                    write_group(file, seed + number, number, data, times)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    print(f"{out}: {trajectories} trajectories, {steps} frames of {size}×{size}, fields u and v in `data`")


if __name__ == "__main__":
    run(app)
