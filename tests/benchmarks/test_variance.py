"""`sampling_variance.py` as a user runs it."""

import numpy as np

from tests.cli.test_tools import ok
from ups_data import ShardWriter


def of_mode(printed, mode):
    """The mean of a mode's row."""
    (row,) = (line for line in printed.splitlines() if f" {mode} " in line)
    return float(row.split("│")[2])


def test_variance_of_every_mode(tmp_path):
    """A front in a smooth field: strata help, and importance more."""
    x = np.linspace(0, 1, 64)
    u = np.tanh((x[:, None] + 0.3 * x - np.array([0.5, 0.6])[:, None, None]) / 0.02) + 0.1 * x
    with ShardWriter(tmp_path / "d", blocks=4) as writer:
        for _ in range(2):
            writer.add({"u": u[..., None].astype(np.float32)})
    printed = ok("sampling_variance.py", tmp_path / "d", "--draws", 300, "--ratio", 0.1)
    found = {m: of_mode(printed, m) for m in ("uniform", "stratified", "blocks", "importance:gradient")}
    assert 0.7 < found["uniform"] < 1.3
    assert found["importance:gradient"] < found["stratified"] < 0.5
    assert of_mode(printed, "importance:variance") < 0.5
    assert found["blocks"] < 1


def test_clouds_have_no_slope_at_a_point(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": rng.random((2, 500, 1), np.float32)}, coords=rng.random((500, 2), np.float32))
    printed = ok("sampling_variance.py", tmp_path / "d", "--draws", 50)
    assert "importance:variance" in printed
    assert "importance:gradient" not in printed
