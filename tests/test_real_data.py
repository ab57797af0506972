"""From real simulation files to a falling validation error, by the README's two commands.

The default run is shortened; `-m slow` trains as the configurations say and asks for what they promise.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import warm
from tests.datasets import BURGERS, DARCY_PT, DIFFUSION_REACTION, real

ROOT = Path(__file__).parents[1]


def write_flow_3d(path: Path, *, count: int = 8, steps: int = 11, size: int = 24) -> Path:
    """Smooth waves carried along, in PDEBench's three-dimensional compressible layout."""
    x = (np.arange(size) + 0.5) / size
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"))
    time = 0.1 * np.arange(steps)
    velocity = np.array([0.5, 0.3, 0.2])
    with h5py.File(path, "w") as file:
        for number, name in enumerate(("density", "pressure", "Vx", "Vy", "Vz")):
            field = np.zeros((count, steps, size, size, size))
            for run in range(count):
                rng = np.random.default_rng([run, number])
                for _ in range(4):
                    k, phase = rng.integers(-2, 3, 3), 2 * np.pi * rng.random()
                    along = np.tensordot(k, grid, 1)[None] - (time * (k @ velocity))[:, None, None, None]
                    field[run] += 0.3 * rng.normal() * np.sin(2 * np.pi * along + phase)
            file[name] = (field + (2.0 if number < 2 else 0.0)).astype(np.float32)
        file["t-coordinate"] = 0.1 * np.arange(steps + 1, dtype=np.float32)
        for axis in "xyz":
            file[f"{axis}-coordinate"] = x.astype(np.float32)
    return path


SMALL = ["training.epochs=1", "model.dim=32", "model.depth=1"]  # seconds, and the error still falls by half
# Case → its file, and what makes it short.
CASES = {
    "diffusion_reaction": (DIFFUSION_REACTION, [*SMALL, "model.tokens=8", "data.batch_size=2", "training.lr=6.0e-3"]),
    "burgers": (BURGERS, [*SMALL, "model.tokens=16"]),
    "darcy": (DARCY_PT, SMALL),
    "3d": (None, ["training.epochs=2"]),
}


def train(case: str, tmp_path: Path, options: Sequence[str] = ()) -> dict:
    """Both commands, with options over the configuration's; returns the run's history."""
    file = CASES[case][0]
    file = real(file) if file is not None else write_flow_3d(tmp_path / "flow.hdf5")
    data, out = tmp_path / "data", tmp_path / "run"
    commands = (
        ["tools/make_shards.py", file, "--out", data],
        [
            "tools/train.py",
            f"configs/train_{case}.yaml",
            f"data.root={data}",
            "training.query_sample_ratio=0.1",
            f"out={out}",
            *options,
        ],
    )
    for command in commands:
        warm.run(command, cwd=ROOT, check=True)
    return json.loads((out / "history.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_validation_error_falls(case, tmp_path):
    history = train(case, tmp_path, CASES[case][1])
    assert history["valid_nrmse"] < 0.8 * history["untrained_nrmse"]
    assert history["epochs"][0]["ratio"] == pytest.approx(0.1, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_configurations_keep_their_promise(case, tmp_path):
    history = train(case, tmp_path)
    print({k: history[f"{k}_nrmse"] for k in ("untrained", "persistence", "valid")})
    assert history["valid_nrmse"] < 0.5 * history["untrained_nrmse"]
    if history["persistence_nrmse"] is not None:
        assert history["valid_nrmse"] < history["persistence_nrmse"]
