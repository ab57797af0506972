"""Folders with a file per quantity, as UPT, AB-UPT, noether and ShapeNet-Car write them."""

import pickle
import tracemalloc

import numpy as np
import pytest
import torch

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source
from ups_data.sources.cases import arrays as case_arrays

ENDINGS = [".npy", ".pt", ".th"]


def shapes(arrays):
    return {name: array.shape for name, array in arrays.items()}


@pytest.mark.parametrize("ending", ENDINGS)
def test_transient_flow_of_upt(tmp_path, ending):
    """`x`, `y` and a numbered file for each frame, all float16, each case of its own size."""
    written = {}
    for number, n in ((10, 9), (9, 12), (1, 5)):
        arrays = {"x": files.values(n), "y": files.values(n, seed=1), "movement_per_position": files.values(n, seed=2)}
        arrays |= {f"frame_{frame}_mesh": files.values(3, n, seed=frame) for frame in range(3, 7)}
        arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
        mask, number_of_objects = np.zeros((30, 20), bool), np.array(4)
        written[f"case_{number}"] = files.write_case(
            tmp_path / f"case_{number}", ending, **arrays, object_mask=mask, num_objects=number_of_objects
        )
    source = open_source(tmp_path)
    assert (source.format, len(source), source.splits()) == ("cases", 3, [None] * 3)
    trajectories = list(source)
    assert [t.key for t in trajectories] == ["case_1", "case_9", "case_10"]
    for t in trajectories:
        arrays = written[t.key]
        n = len(arrays["x"])
        assert (shapes(t.fields), t.fields["mesh"].dtype) == ({"mesh": (4, n, 3)}, np.float16)
        assert shapes(t.static) == {"movement_per_position": (n, 1)}
        np.testing.assert_array_equal(t.coords, np.stack([arrays["x"], arrays["y"]], axis=1))
        np.testing.assert_array_equal(t.fields["mesh"][2:4], [arrays[f"frame_{f}_mesh"].T for f in (5, 6)])
        np.testing.assert_array_equal(t.static["movement_per_position"][2:4, 0], arrays["movement_per_position"][2:4])
        assert (t.params, t.time, t.sets, t.source) == ({"num_objects": 4.0}, None, {}, str(tmp_path / t.key))


@pytest.mark.parametrize("ending", ENDINGS)
def test_surface_and_volume_of_noether_are_sets(tmp_path, ending):
    written = files.write_case(
        tmp_path / "run_1",
        ending,
        surface_position=files.values(7, 3),
        surface_pressure=files.values(7),
        surface_wall_shear_stress=files.values(7, 3, seed=1),
        volume_position=files.values(20, 3, seed=2).astype(np.float64),
        volume_velocity=files.values(20, 3, seed=3),
        volume_sdf=np.arange(20),
    )
    torch.save({"inflow_velocity": 30.0, "aoa": torch.tensor([2.5])}, tmp_path / "run_1" / "design_parameters.pt")
    [t] = open_source(tmp_path)
    assert (t.coords, t.fields, t.static) == (None, {}, {})
    assert t.params == {"inflow_velocity": 30.0, "aoa": 2.5}
    assert t.sets.keys() == {"surface", "volume"}
    surface, volume = t.sets["surface"], t.sets["volume"]
    assert shapes(surface.fields) == {"surface_pressure": (1, 7, 1), "surface_wall_shear_stress": (1, 7, 3)}
    assert shapes(volume.fields) == {"volume_velocity": (1, 20, 3), "volume_sdf": (1, 20, 1)}
    np.testing.assert_array_equal(surface.coords, written["surface_position"])
    np.testing.assert_array_equal(volume.coords, written["volume_position"])
    np.testing.assert_array_equal(surface.fields["surface_pressure"][0, :, 0], written["surface_pressure"])
    np.testing.assert_array_equal(volume.fields["volume_velocity"][:], written["volume_velocity"][None])


def test_drivaerml_of_noether_has_three_surfaces(tmp_path):
    """Suffixes tell sets of one prefix apart; a name without one goes where its length fits."""
    files.write_case(
        tmp_path / "run_7",
        surface_position_vtp=files.values(11, 3),
        surface_normal_vtp=files.values(11, 3, seed=1),
        surface_pressure=files.values(11, seed=2),
        surface_wallshearstress=files.values(11, 3, seed=3),
        surface_position_stl=files.values(5, 3),
        surface_normal_stl=files.values(5, 3),
        surface_position_stl_resampled100k=files.values(8, 3),
        surface_normal_stl_resampled100k=files.values(8, 3),
        volume_cell_position=files.values(20, 3),
        volume_cell_totalpcoeff=files.values(20, 1),
        volume_cell_surface_distance_cKDtree=files.values(20),
    )
    (tmp_path / "run_7" / "geo_ref_7.csv").write_text("a,b")
    [t] = open_source(tmp_path)
    assert {name: (s.coords.shape, set(s.fields)) for name, s in t.sets.items()} == {
        "surface_vtp": ((11, 3), {"surface_normal_vtp", "surface_pressure", "surface_wallshearstress"}),
        "surface_stl": ((5, 3), {"surface_normal_stl"}),
        "surface_stl_resampled100k": ((8, 3), {"surface_normal_stl_resampled100k"}),
        "volume_cell": ((20, 3), {"volume_cell_totalpcoeff", "volume_cell_surface_distance_cKDtree"}),
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_shapenet_car_is_one_set_in_nested_folders(tmp_path, ending):
    sizes = {"param0/a": 7, "param0/b": 9, "param1/a": 4}
    for key, n in sizes.items():
        points, pressure, distance = files.values(n, 3, seed=n), files.values(n), np.zeros((6, 6, 6))
        files.write_case(tmp_path / key, ending, mesh_points=points, pressure=pressure, sdf_res6=distance)
    trajectories = list(open_source(tmp_path))
    assert {t.key: t.coords.shape[0] for t in trajectories} == sizes
    for t in trajectories:
        assert (shapes(t.fields), t.sets) == ({"pressure": (1, sizes[t.key], 1)}, {})
        np.testing.assert_array_equal(t.coords, files.values(sizes[t.key], 3, seed=sizes[t.key]))


def test_one_case_alone(tmp_path, monkeypatch):
    files.write_case(tmp_path / "car", vertices=files.values(6, 3), p=files.values(6))
    [t] = open_source(tmp_path / "car")
    assert (t.key, shapes(t.fields)) == ("car", {"p": (1, 6, 1)})
    monkeypatch.chdir(tmp_path / "car")
    assert [t.key for t in open_source(".")] == ["car"]


@pytest.mark.parametrize("numbered", [False, True])
def test_points_that_move(tmp_path, numbered):
    positions, u, time = files.values(4, 6, 2), files.values(4, 6, 1, seed=1), np.linspace(0, 1, 4)
    if numbered:
        frames = {f"frame_{10 * i}_pos": positions[i].T for i in range(4)}
        frames |= {f"frame_{10 * i}_u": u[i, :, 0] for i in range(4)}
        files.write_case(tmp_path / "c", **frames, time=time)
    else:
        files.write_case(tmp_path / "c", pos=positions, u=u, time=time)
    files.write_case(tmp_path / "c", kind=np.arange(6))
    [t] = open_source(tmp_path)
    np.testing.assert_array_equal(t.coords[1:3], positions[1:3])
    np.testing.assert_array_equal(t.fields["u"][1:3], u[1:3])
    np.testing.assert_array_equal(t.static["kind"][:, 0], np.arange(6))
    np.testing.assert_array_equal(t.time, time)
    assert (t.coords.shape, shapes(t.fields)) == ((4, 6, 2), {"u": (4, 6, 1)})


def test_points_that_carry_nothing_carry_their_positions(tmp_path):
    files.write_case(tmp_path / "a", surface_position=files.values(6, 3), volume_position=files.values(9, 3))
    [t] = open_source(tmp_path)
    assert {name: shapes(s.fields) for name, s in t.sets.items()} == {
        "surface": {"surface_position": (1, 6, 3)},
        "volume": {"volume_position": (1, 9, 3)},
    }
    np.testing.assert_array_equal(t.sets["volume"].fields["volume_position"][0], files.values(9, 3))


def test_a_set_that_stands_still_beside_one_in_time_is_static(tmp_path):
    files.write_case(
        tmp_path / "a", wall_position=files.values(6, 3), position=files.values(9, 3), u=np.zeros((4, 9, 1))
    )
    files.write_case(tmp_path / "a", wall_area=files.values(6))
    files.write_case(
        tmp_path / "b", wall_position=files.values(6, 3), position=files.values(9, 3), u=np.zeros((4, 9, 1))
    )
    first, second = open_source(tmp_path)
    assert (shapes(first.sets["wall"].fields), shapes(first.sets["wall"].static)) == ({}, {"wall_area": (6, 1)})
    assert shapes(second.sets["wall"].static) == {"wall_position": (6, 3)}
    assert shapes(second.sets["points"].fields) == {"u": (4, 9, 1)}


def test_splits_of_cases(tmp_path):
    for split, count in (("train", 3), ("test", 2), ("val", 1)):
        for number in range(count):
            files.write_case(tmp_path / split / f"case_{number}", pos=files.values(5, 2), u=files.values(5))
    source = open_source(tmp_path)
    assert source.splits() == ["train"] * 3 + ["valid"] + ["test"] * 2
    assert [(t.split, t.key) for t in source][2:4] == [("train", "case_2"), ("valid", "case_0")]


def test_a_case_is_opened_when_it_is_reached_and_read_by_slices(tmp_path, monkeypatch):
    opened = []
    original = case_arrays.open_file

    def spy(path):
        opened.append(f"{path.parent.name}/{path.stem}")
        return original(path)

    for number in range(3):
        frames = {f"frame_{f}_u": files.values(5, 2, seed=f) for f in range(4)}
        files.write_case(tmp_path / f"case_{number}", position=files.values(5, 2), **frames)
    monkeypatch.setattr(case_arrays, "open_file", spy)
    monkeypatch.setattr("ups_data.sources.cases.case.open_file", spy)
    source = open_source(tmp_path)
    assert opened == []
    trajectory = next(iter(source))
    assert {name.split("/")[0] for name in opened} == {"case_0"}
    opened.clear()
    np.testing.assert_array_equal(trajectory.fields["u"][1:3], [files.values(5, 2, seed=f) for f in (1, 2)])
    assert opened == ["case_0/00000001_u", "case_0/00000002_u"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_memory_holds_a_slice_of_a_case(tmp_path, ending):
    """5 cases of 8 frames of 2 MB: a pass stays below 6 MB of arrays."""
    for number in range(5):
        frames = {f"frame_{f}_u": np.zeros((1 << 18, 2), np.float32) for f in range(8)}
        files.write_case(tmp_path / f"case_{number}", ending, position=np.zeros((1 << 18, 2), np.float32), **frames)
    tracemalloc.start()
    for t in open_source(tmp_path):
        for start in range(8):
            assert t.fields["u"][start : start + 1].shape == (1, 1 << 18, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6


def test_positions_in_a_file_cost_no_memory(tmp_path):
    """24 MB of positions, every value looked at."""
    files.write_case(tmp_path / "a", ".npy", position=np.zeros((1 << 21, 3), np.float32), u=np.zeros(1 << 21, bool))
    tracemalloc.start()
    [t] = open_source(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert t.coords.shape == (1 << 21, 3)
    assert peak < 3e6
    np.lib.format.open_memmap(tmp_path / "a" / "position.npy", mode="r+")[-1, 2] = np.nan
    with pytest.raises(UpsDataError, match=r"first in point 2097151\)"):
        list(open_source(tmp_path))


def test_trajectories_travel_to_other_processes(tmp_path):
    frames = {f"frame_{f}_u": files.values(3, 5, seed=f) for f in range(4)}
    files.write_case(tmp_path / "a", position=files.values(5, 2), **frames)
    [t] = open_source(tmp_path)
    copy = pickle.loads(pickle.dumps(t))
    np.testing.assert_array_equal(copy.fields["u"][:], t.fields["u"][:])
    np.testing.assert_array_equal(copy.coords, t.coords)
