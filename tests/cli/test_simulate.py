"""The simulator against PDEBench's own file, and its file against the reader."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import warm
from tests.sources import files
from ups_data.cli.commands.simulate import simulate
from ups_data.cli.problems import diffusion_reaction, pdebench_file
from ups_data.cli.problems.writers import write_problem
from ups_data.errors import UpsDataError
from ups_data.sources import open_source

TOOLS = Path(__file__).parents[2] / "tools"


def run(*arguments):
    environment = {"PYTHONPATH": str(TOOLS.parent), "PATH": ""}
    return warm.run([TOOLS / "simulate.py", *arguments], cwd=TOOLS.parent, env=environment)


@pytest.mark.skipif(not files.DIFFUSION_REACTION.exists(), reason=f"{files.DIFFUSION_REACTION} is not there")
def test_reproduces_pdebench():
    """Same seed, same size: PDEBench's frames, 0.07 to 1 in size, within its own solver's tolerance."""
    with h5py.File(files.DIFFUSION_REACTION) as file:
        real = file["0003/data"][:9]
        times = file["0003/grid/t"][:9].astype(float)
    noise = diffusion_reaction.white_noise(128, seed=3)
    np.testing.assert_array_equal(noise.transpose(1, 2, 0).astype(np.float32), real[0])
    ours = diffusion_reaction.solve(noise[None], times)[0]
    error = np.sqrt(np.mean((ours - real) ** 2, axis=(1, 2, 3)) / np.mean(real**2, axis=(1, 2, 3)))
    assert error[0] == 0
    assert error.max() < 2e-4  # measured: 8e-5 at t = 0.25, 6e-6 to 4e-5 later


def test_converges_in_time():
    times = np.linspace(0, 1, 5)
    initial = diffusion_reaction.white_noise(32, seed=0)[None]
    finer = diffusion_reaction.solve(initial, np.linspace(0, 1, 4 * 20 + 1))[:, ::20]
    assert np.abs(diffusion_reaction.solve(initial, times) - finer).max() < 1e-4


def test_no_flux_through_the_walls():
    """Diffusion alone conserves the mean; only reactions change it."""
    state = diffusion_reaction.white_noise(16, seed=0)[:, None]
    u, v = state
    change = diffusion_reaction.rate(state, 2 / 16)
    np.testing.assert_allclose(change[0].mean(), (u - u**3 - v - diffusion_reaction.K).mean(), atol=1e-12)
    np.testing.assert_allclose(change[1].mean(), (u - v).mean(), atol=1e-12)


def test_writes_the_layout_that_the_reader_knows_and_the_same_bytes_again(tmp_path):
    first, again, other = (tmp_path / name for name in ("a.h5", "b.h5", "c.h5"))
    options = ("--trajectories", 5, "--size", 16, "--steps", 4)
    for path, seed in ((first, 0), (again, 0), (other, 1)):
        result = run(path, *options, "--seed", seed)
        assert result.returncode == 0, result.stderr
    assert first.read_bytes() == again.read_bytes()
    assert not list(tmp_path.glob(".*"))
    trajectories = list(open_source(first))
    assert [t.key for t in trajectories] == ["0000", "0001", "0002", "0003", "0004"]
    t = trajectories[4]
    assert (t.fields["data"].shape, t.fields["data"].dtype) == ((4, 16, 16, 2), np.float32)
    assert t.params == {"Du": 0.001, "Dv": 0.005, "k": 0.005}
    np.testing.assert_allclose(t.time, [0, 5 / 3, 10 / 3, 5], rtol=1e-6)
    np.testing.assert_allclose([axis.coordinates[0] for axis in t.axes], [-0.9375] * 2)
    # run i of seed s is run i - 1 of seed s + 1
    np.testing.assert_array_equal(trajectories[3].fields["data"][:], list(open_source(other))[2].fields["data"][:])
    assert not np.array_equal(trajectories[3].fields["data"][:], trajectories[2].fields["data"][:])


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    path = tmp_path / "a.h5"
    path.write_text("mine")
    options = ("--trajectories", 1, "--size", 8, "--steps", 2)
    refused = run(path, *options)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [f"error: {path}: exists already: choose another file or give --force"]
    assert path.read_text() == "mine"
    assert run(path, *options, "--force").returncode == 0
    assert len(open_source(path)) == 1


def test_a_run_that_stops_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pdebench_file, "solve", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate(tmp_path / "a.h5", trajectories=1, size=8, steps=2)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_line(tmp_path):
    result = run(tmp_path / "no" / "a.h5")
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("problem", "name"), [("heat-3d", "x.h5"), ("shocks", "x.h5"), ("diffusion-reaction", "x.h5"), ("particles", "x")]
)
def test_what_is_no_file_is_never_replaced(tmp_path, problem, name):
    """Not even by force; and what a stranger has put under the name of the unfinished file is not written to."""
    os.mkfifo(tmp_path / name)
    small = {"cases": 1, "size": 4, "steps": 2, "seed": 0, "progress": lambda done, total: None}
    with pytest.raises(UpsDataError, match="no regular file"):
        write_problem(problem, tmp_path / name, force=True, **small)
    assert (tmp_path / name).is_fifo()

    (tmp_path / name).unlink()
    (tmp_path / "mine").write_text("mine")
    if Path(name).suffix:
        (tmp_path / f".{name}.partial").symlink_to("mine")
    write_problem(problem, tmp_path / name, force=False, **small)
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["mine", name])


@pytest.mark.parametrize("problem", ["heat-3d", "shocks", "diffusion-reaction", "particles"])
@pytest.mark.parametrize(
    ("cases", "size", "steps", "says"),
    [(1, 10**5, 10**4, "may have"), (10**13, 4, 2, "are free")],
)
def test_what_fills_the_memory_or_the_disk_is_refused_first(tmp_path, problem, cases, size, steps, says):
    with pytest.raises(UpsDataError, match=says) as refused:
        write_problem(
            problem,
            tmp_path / "x.h5",
            cases=cases,
            size=size,
            steps=steps,
            seed=0,
            force=False,
            progress=lambda done, total: 1 / 0,
        )
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
