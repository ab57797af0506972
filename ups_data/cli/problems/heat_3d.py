"""Heat that diffuses and is carried along in a periodic cube, exactly: each Fourier mode decays and turns.

    ∂u/∂t + w · ∇u = κ ∆u    ⇒    û(k, t) = û(k, 0) exp(−(4π² κ |k|² + 2πi w · k) t)

The wind w is another one in every run.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ups_data.cli.problems.out_folder import written_whole
from ups_data.cli.problems.pdebench_file import write_run

KAPPA, END, HIGHEST = 0.004, 1.0, 3  # diffusivity, time, waves in the cube
CONFIG = "sim:\n  kappa: {kappa}\n  wind: {{x: {wind[0]}, y: {wind[1]}, z: {wind[2]}}}\n"


def solve(seed: int, number: int, size: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(T, n, n, n, 1)` float32 with unit variance at first, axes x, y, z; and the wind, `(3,)`."""
    rng = np.random.default_rng([seed, number])
    wind = rng.uniform(-0.5, 0.5, 3).round(3)
    waves = np.stack(np.meshgrid(*[np.fft.fftfreq(size, 1 / size)] * 3, indexing="ij"))
    amplitude = np.fft.fftn(rng.standard_normal((size,) * 3))
    amplitude[(np.abs(waves) > min(HIGHEST, (size - 1) // 2)).any(axis=0)] = 0
    rate = 4 * np.pi**2 * KAPPA * (waves**2).sum(0) + 2j * np.pi * np.tensordot(wind, waves, 1)
    frames = np.stack([np.fft.ifftn(amplitude * np.exp(-rate * t)).real for t in times])
    return (frames / frames[0].std()).astype(np.float32)[..., None], wind


def write_heat(
    out: Path,
    *,
    cases: int,
    size: int,
    steps: int,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an HDF5 file in PDEBench's layout: `0000/data` [T, X, Y, Z, 1]; a run that fails leaves none.

    Raises:
        UpsDataError: `out` exists, or its folder does not.
    """
    times = np.linspace(0.0, END, steps)
    with written_whole(out, force=force) as aside, h5py.File(aside, "x") as file:
        for number in range(cases):
            data, wind = solve(seed, number, size, times)
            along = np.arange(size, dtype=np.float32) / size
            config = CONFIG.format(kappa=KAPPA, wind=wind.tolist())
            write_run(file, number, data, {**dict.fromkeys("xyz", along), "t": times}, config)
            progress(number + 1, cases)
