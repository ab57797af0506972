"""Inputs and outputs of operator learning in `.npz` and `.mat` files, and DoMINO's zarr groups."""

import itertools

import numpy as np
import pytest

from tests.sources import files
from tests.sources.operator_files import write_domino, write_mat5, write_mat73
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import open_source

ONE = {"train": 1.0}


def write_npz(path, **arrays):
    files.write_npz(path, **{name: a for name, a in arrays.items() if not isinstance(a, str)})


MAT = {"mat5": write_mat5, "mat7.3": write_mat73}


@pytest.mark.parametrize("kind", MAT)
def test_navier_stokes_of_fno(tmp_path, kind):
    """a [N, S, S], u [N, S, S, T] with the time last, t [1, T], as the files of the Fourier neural operator are."""
    a, u = files.values(3, 6, 5), files.values(3, 6, 5, 7, seed=1)
    nu, t = np.array([[0.1], [0.2], [0.3]]), np.arange(1.0, 8)[None]
    MAT[kind](tmp_path / "ns.mat", a=a, u=u, t=t, nu=nu, note="made by a test")
    source = open_source(tmp_path / "ns.mat")
    assert (source.format, len(source)) == ("mat", 3)
    for number, run in enumerate(source):
        np.testing.assert_array_equal(run.fields["u"][:, ..., 0], np.moveaxis(u[number], -1, 0))
        np.testing.assert_array_equal(run.fields["u"][2:4, ..., 0], np.moveaxis(u[number], -1, 0)[2:4])
        np.testing.assert_array_equal(run.static["a"][1:3, :, 0], a[number, 1:3])
        np.testing.assert_array_equal(run.time, np.arange(1.0, 8))
        assert run.params == {"nu": nu[number, 0]}
    assert "note" in run.left_out
    convert(tmp_path / "ns.mat", tmp_path / "o", split=ONE)
    loader = QueryLoader(
        tmp_path / "o",
        split="train",
        batch_size=1,
        horizon=0,
        sampling=QuerySampling(ratio=1.0),
        shuffle=False,
        threads=0,
    )
    got = np.stack([batch.inputs.fields["u"][0].numpy() for batch in loader]).reshape(3, 7, 6, 5)
    np.testing.assert_array_equal(got, np.moveaxis(u, -1, 1))


@pytest.mark.parametrize("kind", MAT)
def test_darcy_of_fno(tmp_path, kind):
    coeff, sol = (files.values(4, 6, 5) > 0).astype(np.float64), files.values(4, 6, 5, seed=1)
    MAT[kind](tmp_path / "d.mat", coeff=coeff, sol=sol)
    for number, run in enumerate(open_source(tmp_path / "d.mat")):
        np.testing.assert_array_equal(run.fields["coeff"][0, ..., 0], coeff[number])
        np.testing.assert_array_equal(run.fields["sol"][0, ..., 0], sol[number])
        assert run.fields["coeff"].dtype == np.float64


PAIRS = {
    "plain": ((4, 16, 12), (4, 16, 12), None, None),
    "1d": ((4, 64), (4, 64), None, None),
    "channels last": ((4, 16, 12, 3), (4, 16, 12, 2), -1, -1),
    "channels first": ((4, 3, 16, 12), (4, 1, 16, 12), 1, 1),
    "one channel first": ((4, 1, 16, 12), (4, 1, 16, 12), 1, 1),
    "many channels last": ((4, 16, 12, 9), (4, 16, 12, 7), -1, -1),
    "one channel last": ((4, 64, 1), (4, 64, 1), -1, -1),
    "input without channels": ((4, 16, 12), (4, 16, 12, 2), None, -1),
}


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("kind", ["npz", "mat5"])
def test_pairs_of_inputs_and_outputs(tmp_path, case, kind):
    x_shape, y_shape, x_channel, y_channel = PAIRS[case]
    given = {"x": files.values(*x_shape), "y": files.values(*y_shape, seed=1)}
    {"npz": write_npz, "mat5": write_mat5}[kind](tmp_path / "a", **given)
    for number, run in enumerate(open_source(tmp_path / "a")):
        assert run.static == {}
        for name, channel in (("x", x_channel), ("y", y_channel)):
            array = given[name][number]
            truth = array[..., None] if channel is None else np.moveaxis(array, channel - (channel > 0), -1)
            np.testing.assert_array_equal(run.fields[name][:], truth[None])


@pytest.mark.parametrize(("frames_first", "times"), list(itertools.product([True, False], [True, False])))
def test_outputs_in_time(tmp_path, frames_first, times):
    x, y = files.values(4, 32), files.values(4, 9, 32, seed=1)
    stored = y if frames_first else np.moveaxis(y, 1, -1)
    write_npz(tmp_path / "a", x=x, y=stored, **({"t": np.arange(9.0)} if times else {}))
    run = open_source(tmp_path / "a")[2]
    if not frames_first and not times:  # an axis at the end without times is channels
        np.testing.assert_array_equal(run.fields["y"][0], stored[2])
        return
    np.testing.assert_array_equal(run.fields["y"][1:4, :, 0], y[2, 1:4])
    np.testing.assert_array_equal(run.static["x"][3:7, 0], x[2, 3:7])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((4, 3, 16, 12), (4, 3, 16, 12), "the axis of 3 may be channels or space: move channels to the end"),
        ((4, 16, 16), (4, 16, 16, 16), "y has shape .* which axis is time or channels cannot be told"),
        ((4, 16, 12), (4, 12, 16), "no grid of one to three axes fits all"),
        ((4, 16, 12), (4, 32), "no grid of one to three axes fits all"),
    ],
)
def test_axes_that_cannot_be_told_are_refused(tmp_path, x, y, message):
    write_npz(tmp_path / "a", x=files.values(*x), y=files.values(*y))
    with pytest.raises(UpsDataError, match=message):
        convert(tmp_path / "a", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_complex_array_of_matlab_is_refused(tmp_path):
    write_mat5(tmp_path / "a.mat", u=files.values(3, 6, 5) + 1j)
    with pytest.raises(UpsDataError, match="u holds complex.*, real numbers are expected"):
        convert(tmp_path / "a.mat", tmp_path / "o")


@pytest.mark.parametrize("kind", MAT)
def test_a_damaged_mat_file_is_one_line(tmp_path, kind):
    MAT[kind](tmp_path / "a.mat", u=files.values(30, 16, 15))
    files.truncate(tmp_path / "a.mat", 0.4)
    with pytest.raises(UpsDataError, match="truncated or damaged") as caught:
        convert(tmp_path / "a.mat", tmp_path / "o")
    assert "\n" not in str(caught.value)


def test_domino(tmp_path):
    arrays = write_domino(tmp_path / "cars/run_1.zarr")
    write_domino(tmp_path / "cars/run_2.zarr")
    source = open_source(tmp_path / "cars")
    assert (source.format, len(source)) == ("domino", 2)
    t = source[0]
    assert (t.key, set(t.sets)) == ("run_1", {"surface", "volume", "stl"})
    np.testing.assert_array_equal(t.sets["surface"].coords, arrays["surface_mesh_centers"])
    np.testing.assert_array_equal(t.sets["surface"].fields["surface_fields"][0], arrays["surface_fields"])
    np.testing.assert_array_equal(t.sets["surface"].fields["normal"][0], arrays["surface_normals"])
    np.testing.assert_array_equal(t.sets["surface"].fields["cell_area"][0, :, 0], arrays["surface_areas"])
    np.testing.assert_array_equal(t.sets["volume"].fields["volume_fields"][0], arrays["volume_fields"])
    assert t.params == {"global_params_values_0": 30.0, "global_params_values_1": np.float32(1.2)}
    assert set(t.left_out) == {"stl_coordinates", "stl_faces"}
    manifest = convert(tmp_path / "cars", tmp_path / "o", split=ONE)
    assert {n: s.num_points for n, s in manifest.sets.items()} == {"surface": 9, "volume": 12, "stl": 4}
