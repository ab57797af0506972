"""Tracers in a closed box that is stirred: points that move.

The flow is that of a stream function ψ(x, y, t) of a few random modes sin(kπx) sin(lπy), which is 0 on the walls, so
that nothing leaves the box and the flow has no divergence. Each mode's amplitude swings at a frequency of its own.
Positions follow from the classical Runge–Kutta scheme.
"""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ups_data.cli.problems.out_folder import filled_whole

STEP, SUBSTEPS, MODES = 0.05, 5, 3  # time between frames, steps of the scheme in it, waves along an axis


class Stirring:
    """A random flow; called with positions `(N, 2)` and a time, gives velocities `(N, 2)`."""

    def __init__(self, rng: np.random.Generator) -> None:
        waves = np.arange(1, MODES + 1)
        self.amplitude = rng.normal(size=(MODES, MODES)) / (waves[:, None] ** 2 + waves**2)
        self.frequency = rng.uniform(0.5, 2.0, (MODES, MODES))
        self.phase = rng.uniform(0, 2 * np.pi, (MODES, MODES))
        self.waves = np.pi * waves

    def __call__(self, position: np.ndarray, time: float) -> np.ndarray:
        """Velocities `(N, 2)` at positions `(N, 2)`."""
        amplitude = self.amplitude * np.cos(self.frequency * time + self.phase)
        sines, cosines = (f(position[..., None] * self.waves) for f in (np.sin, np.cos))
        u = np.einsum("nk,nl,kl->n", sines[:, 0], cosines[:, 1] * self.waves, amplitude)
        v = -np.einsum("nk,nl,kl->n", cosines[:, 0] * self.waves, sines[:, 1], amplitude)
        return np.stack([u, v], axis=-1)


def solve(seed: int, number: int, size: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities of all frames, `(T, N, 2)` float32."""
    rng = np.random.default_rng([seed, number])
    flow, position = Stirring(rng), rng.uniform(0.02, 0.98, (size, 2))
    positions, velocities, step = [position], [flow(position, 0.0)], STEP / SUBSTEPS
    for count in range((steps - 1) * SUBSTEPS):
        time = count * step
        a = flow(position, time)
        b = flow(position + 0.5 * step * a, time + 0.5 * step)
        c = flow(position + 0.5 * step * b, time + 0.5 * step)
        d = flow(position + step * c, time + step)
        position = position + step / 6 * (a + 2 * (b + c) + d)
        if (count + 1) % SUBSTEPS == 0:
            positions.append(position)
            velocities.append(flow(position, time + step))
    return np.stack(positions).astype(np.float32), np.stack(velocities).astype(np.float32)


def write_particles(
    out: Path,
    *,
    cases: int,
    size: int,
    steps: int,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `train.h5`, `valid.h5`, `test.h5` and `metadata.json` as LagrangeBench does, with `velocity` beside
    `position`.

    Raises:
        UpsDataError: `out` exists, or the folder that it lies in does not.
    """
    with filled_whole(out, r"(train|valid|test)\.h5|metadata\.json", force=force) as folder:
        (folder / "metadata.json").write_text(json.dumps({"dim": 2, "dt": STEP, "write_every": 1}))
        first = 0
        for split, count in _counts(cases).items():
            with h5py.File(folder / f"{split}.h5", "w") as file:
                for number in range(first, first + count):
                    positions, velocities = solve(seed, number, size, steps)
                    group = file.create_group(f"{number:05d}")
                    group.create_dataset("position", data=positions)
                    group.create_dataset("velocity", data=velocities)
                    progress(number + 1, cases)
            first += count


def _counts(cases: int) -> dict[str, int]:
    """Split → runs: a tenth of them to validate and to test on, at least one if there are three."""
    tenth = max(1, round(0.1 * cases)) if cases >= 3 else 0
    counts = {"train": cases - 2 * tenth, "valid": tenth, "test": tenth}
    return {split: count for split, count in counts.items() if count}
