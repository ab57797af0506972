"""The shocks are those of the equation."""

from pathlib import Path

import h5py
import numpy as np

from ups_data.cli.problems.shocks import END, initial, solve, write_shocks


def test_a_front_moves_as_the_equation_says() -> None:
    """Along one axis with flux u²/2: a jump from 1 to 0 travels at half, and a jump from 0 to 1 opens as a fan."""
    size = 200
    at = (np.arange(size) + 0.5) / size
    start = np.where((at > 0.2) & (at < 0.5), 1.0, 0.0)[:, None] * np.ones((1, 4))
    padded = np.repeat(start, size // 4, axis=1)  # square, and the same along the second axis
    found = solve(padded, np.array([0.0, 0.2]))[-1]
    assert np.ptp(found, axis=1).max() < 1e-12
    exact = np.where(at < 0.2, 0.0, np.where(at < 0.4, (at - 0.2) / 0.2, np.where(at < 0.6, 1.0, 0.0)))
    away = np.abs(found[:, 0] - exact)
    assert away.mean() < 0.01
    assert away[(at > 0.61) | (at < 0.19)].max() < 1e-3  # the shock is at 0.6, and sharp


def test_both_axes_count_alike_and_nothing_is_lost() -> None:
    start = initial(0, 0, 64)
    times = np.linspace(0.0, END, 3)
    frames = solve(start, times)
    np.testing.assert_allclose(frames.mean((1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(solve(start.T, times), frames.transpose(0, 2, 1), atol=1e-12)
    assert np.abs(frames[-1]).max() < np.abs(start).max()  # no new extremes
    jumps = [np.abs(np.diff(frame, axis=0)).max() for frame in frames]
    assert jumps[1] > 3 * jumps[0]  # it steepened


def test_the_file_holds_means_of_finer_cells(tmp_path: Path) -> None:
    write_shocks(tmp_path / "s.h5", cases=2, size=16, steps=3, seed=1)
    with h5py.File(tmp_path / "s.h5") as file:
        fine = solve(initial(1, 1, 32), np.linspace(0.0, END, 3))
        found = np.asarray(file["0001/data"])
        np.testing.assert_allclose(found[..., 0], fine.reshape(3, 16, 2, 16, 2).mean((2, 4)), atol=1e-6)
        assert not np.allclose(found, np.asarray(file["0000/data"]))
