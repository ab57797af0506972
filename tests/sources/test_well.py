"""The Well's files: every variable at its place, flags, boundaries, splits, published statistics."""

import h5py
import numpy as np
import pytest
import yaml

from tests.sources.well_files import FIELDS, FRAMES, GRID, expected, write_well
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import open_source
from ups_data.sources.well.statistics import compare_published

STATIC = {name for name, (_, (_, in_time), _) in FIELDS.items() if not in_time}


@pytest.fixture(scope="module")
def well(tmp_path_factory):
    """A dataset as it is downloaded: its folder, and what was written, split → file → arrays."""
    base = tmp_path_factory.mktemp("well") / "made"
    written = {
        split: [
            write_well(base / f"data/{split}/{n}.hdf5", count=c, seed=97 * s + 31 * n) for n, c in enumerate(counts)
        ]
        for s, (split, counts) in enumerate({"train": (2, 3), "valid": (1,), "test": (2,)}.items())
    }
    (base / "README.md").write_text("made by a test")
    return base, written


def test_every_variable_is_read_at_its_place(well):
    base, written = well
    source = open_source(base / "data/train/1.hdf5")
    assert (source.format, len(source), source.splits()) == ("well", 3, ["train"] * 3)
    arrays = written["train"][1]
    for number, t in enumerate(source):
        assert set(t.static) == STATIC
        assert set(t.fields) == {*FIELDS, "heat", "clock"} - STATIC
        for name in FIELDS:
            held = t.static[name] if name in STATIC else t.fields[name]
            truth = expected(arrays, name, number)
            assert held.shape == truth.shape
            np.testing.assert_array_equal(held[:], truth)
            np.testing.assert_array_equal(held[1:3], truth[1:3])
        heat = np.broadcast_to(arrays["heat"][number][:, None, None, None], (FRAMES, *GRID, 1))
        np.testing.assert_array_equal(t.fields["heat"][:], heat)
        np.testing.assert_array_equal(t.fields["clock"][2, 3, 4], arrays["clock"][2:3])
        assert t.params == {"viscosity": 0.25, "Re": arrays["Re"][number], "gamma": arrays["gamma"]}
        assert [(a.name, a.periodic, a.coordinates[-1]) for a in t.axes] == [("x", True, 2), ("y", False, 4)]
        np.testing.assert_allclose(t.time, [0, 1, 2, 3])
        assert list(t.left_out) == ["boundary_conditions.x_boundary.mask", "boundary_conditions.y_wall.mask"]


def test_axes_that_do_not_vary_may_have_length_1(tmp_path):
    written = write_well(tmp_path / "a.h5", keep_axes=True)
    t = open_source(tmp_path / "a.h5")[1]
    for name in FIELDS:
        np.testing.assert_array_equal((t.fields | t.static)[name][1:3], expected(written, name, 1)[1:3])


def test_splits_values_and_periods_reach_the_loader(well, tmp_path):
    base, written = well
    manifest = convert(base, tmp_path / "out")
    assert {name: s.num_trajectories for name, s in manifest.splits.items()} == {"train": 5, "valid": 1, "test": 2}
    assert [a.periodic for a in manifest.grid.axes] == [True, False]
    loader = QueryLoader(
        tmp_path / "out",
        split="test",
        batch_size=1,
        horizon=0,
        sampling=QuerySampling(ratio=1.0),
        shuffle=False,
        threads=0,
    )
    frames = [batch.inputs.fields for batch in loader]
    for name in ("stress", "profile"):
        truth = np.concatenate([expected(written["test"][0], name, n) for n in range(2)])
        got = np.stack([f[name][0].numpy() for f in frames])
        np.testing.assert_array_equal(got.reshape(truth.shape), truth)


def published(written, names=("density", "velocity")):
    """`stats.yaml` as The Well has it, by numpy."""
    found = {}
    for name in names:
        frames = np.stack([expected(w, name, n) for w in written for n in range(w["velocity"].shape[0])]).astype(float)
        deltas = np.diff(frames, axis=1)
        for suffix, values in (("", frames), ("_delta", deltas)):
            flat = values.reshape(-1, values.shape[-1])
            for key, row in {
                "mean": flat.mean(0),
                "std": flat.std(0),
                "rms": np.sqrt((flat**2).mean(0)),
            }.items():
                found.setdefault(key + suffix, {})[name] = row.tolist() if len(row) > 1 else row.item()
    return found


def test_published_statistics_are_compared(well, tmp_path):
    base, written = well
    manifest = convert(base, tmp_path / "out")
    statistics = {name: s.model_dump() for name, s in manifest.splits["train"].statistics.items()}
    assert compare_published(base, statistics) == []
    true = published(written["train"])
    (tmp_path / "stats.yaml").write_text(yaml.safe_dump(true))
    [line] = compare_published(tmp_path / "data/train", statistics)
    assert line == f"{tmp_path}/stats.yaml: agrees with what was converted, fields compared: 2"
    true["std_delta"]["velocity"][1] *= 1.1
    (tmp_path / "stats.yaml").write_text(yaml.safe_dump(true))
    [line] = compare_published(tmp_path, statistics)
    assert "velocity: std_delta is 1." in line
    assert line.endswith("in the data (component 1)")


@pytest.mark.parametrize(
    ("kind", "mask_at", "periodic"),
    [("PERIODIC", [0, -1], True), ("periodic", [0], True), ("OPEN", [0, -1], False), ("WALL", [2], None)],
)
def test_boundary_conditions_by_type_and_place(tmp_path, kind, mask_at, periodic):
    write_well(tmp_path / "a.h5", bc_x=kind)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        mask = np.zeros(GRID[0], bool)
        mask[mask_at] = True
        file["boundary_conditions/x_boundary/mask"][...] = mask
    assert open_source(tmp_path / "a.h5")[0].axes[0].periodic is periodic


def test_times_and_axes_of_each_trajectory(tmp_path):
    write_well(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for name, n in (("time", FRAMES), ("y", GRID[1])):
            del file[f"dimensions/{name}"]
            file[f"dimensions/{name}"] = np.arange(2 * n, dtype=np.float32).reshape(2, n)
            file[f"dimensions/{name}"].attrs["sample_varying"] = True
        file["dimensions"]["note"] = np.arange(3)
        file["extra"] = np.arange(3)
        file["t0_fields/unlisted"] = np.zeros(3)
    second = open_source(tmp_path / "a.h5")[1]
    np.testing.assert_array_equal(second.time, np.arange(FRAMES, 2 * FRAMES))
    np.testing.assert_array_equal(second.axes[1].coordinates, np.arange(GRID[1], 2 * GRID[1]))
    assert {"dimensions.note", "extra", "t0_fields.unlisted"} <= set(second.left_out)


def _without_time_flag(file):
    file["t0_fields/density"].attrs["time_varying"] = False


def _moving(file):
    file["dimensions/x"].attrs["time_varying"] = True


def _missing(file):
    del file["t1_fields/velocity"]


def _twice(file):
    del file["scalars/gamma"]
    file["scalars"].attrs["field_names"] = ["Re", "density"]
    file["scalars/density"] = 3.0


def _claims(file):
    file.attrs["n_trajectories"] = 10**9


def _never_written(file):
    del file["t0_fields/density"]
    file["t0_fields"].create_dataset("density", (2, FRAMES, *GRID), "f4", chunks=(1, 1, *GRID))
    file["t0_fields/density"].attrs.update(sample_varying=True, time_varying=True, dim_varying=[True, True])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_time_flag, r"t0_fields/density has shape \(2, 4, 6, 5\), its flags .* say \(2, 6, 5\)"),
        (_moving, "the grid moves along x"),
        (_missing, "t1_fields/velocity is listed in field_names but is no array"),
        (_twice, "two variables are called 'density'"),
        (_claims, "claims 1,000,000,000 trajectories"),
        (_never_written, "0 of 8 chunks, the others were never written"),
    ],
)
def test_what_is_inconsistent_is_refused(tmp_path, change, message):
    write_well(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        change(file)
    with pytest.raises(UpsDataError, match=message):
        convert(tmp_path / "a.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()
