import pickle

import numpy as np
import pytest
import torch

from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import SourceOptions, open_source


def test_darcy_is_two_static_fields(tmp_path):
    written = files.write_darcy_pt(tmp_path / "f", count=4, grid=(6, 5))
    source = open_source(tmp_path / "f")
    assert (source.format, len(source), source.splits()) == ("neuraloperator", 4, [None] * 4)
    for number, t in enumerate(source):
        assert {name: (f.shape, f.dtype) for name, f in t.fields.items()} == {
            "x": ((1, 6, 5, 1), np.dtype(bool)),
            "y": ((1, 6, 5, 1), np.dtype(np.float32)),
        }
        for name, field in t.fields.items():
            np.testing.assert_array_equal(field[0:1], written[name][number][None, ..., None])
        assert (t.time, t.axes, t.coords, dict(t.static), t.params) == (None, None, None, {}, {})


def test_burgers_is_a_field_in_time_with_its_beginning_and_viscosity(tmp_path):
    written = files.write_burgers_pt(tmp_path / "f", count=4, frames=5, size=6)
    for number, t in enumerate(open_source(tmp_path / "f")):
        assert (t.fields["y"].shape, t.fields["y"].dtype) == ((5, 6, 1), np.float64)
        assert t.static["x"].shape == (6, 1)
        np.testing.assert_array_equal(t.fields["y"][1:3], written["y"][number, 1:3, :, None])
        np.testing.assert_array_equal(t.static["x"][:, 0], t.fields["y"][0, :, 0])
        assert t.params == {"visc": written["visc"][number]}


def test_one_viscosity_is_every_trajectorys(tmp_path):
    torch.save({"x": torch.zeros(3, 6), "y": torch.zeros(3, 5, 6), "visc": torch.tensor([[0.01]])}, tmp_path / "f")
    assert [t.params["visc"] for t in open_source(tmp_path / "f")] == [pytest.approx(0.01)] * 3


def test_cars_are_points(tmp_path):
    written = files.write_cars_pt(tmp_path / "f", points=(7, 9))
    source = open_source(tmp_path / "f")
    assert len(source) == 2
    for number, t in enumerate(source):
        n = (7, 9)[number]
        np.testing.assert_array_equal(t.coords, written[number]["vertices"])
        assert {name: f.shape for name, f in t.fields.items()} == {"press": (1, n, 1), "vertex_normals": (1, n, 3)}
        np.testing.assert_array_equal(t.fields["press"][0, :, 0], written[number]["press"][0])
        np.testing.assert_array_equal(t.fields["vertex_normals"][0], written[number]["vertex_normals"])
        assert (t.time, t.axes) == (None, None)


@pytest.mark.parametrize("name", ["pos", "positions", "coords", "points", "vertices"])
def test_clouds_of_any_size_under_any_name_of_coordinates(tmp_path, name):
    """N is each cloud's own; arrays [N], [N, C] and [1, N] are fields, whatever their dtype."""
    sizes = (1, 2, 3, 12)
    clouds = [
        {
            name: torch.from_numpy(files.values(n, 2)).to(torch.float64),
            "u": torch.arange(n, dtype=torch.float16),
            "v": torch.arange(4 * n).reshape(n, 4),
            "kind": torch.ones(1, n, dtype=torch.bool),
            "triangles": torch.zeros(2 * n + 5, 3, dtype=torch.int64),
            "label": "text",
        }
        for n in sizes
    ]
    torch.save(clouds, tmp_path / "f")
    for n, cloud, t in zip(sizes, clouds, open_source(tmp_path / "f"), strict=True):
        assert (t.coords.shape, t.coords.dtype) == ((n, 2), np.float64)
        np.testing.assert_array_equal(t.coords, cloud[name].numpy())
        assert {field: (a.shape, a.dtype) for field, a in t.fields.items()} == {
            "u": ((1, n, 1), np.dtype(np.float16)),
            "v": ((1, n, 4), np.dtype(np.int64)),
            "kind": ((1, n, 1), np.dtype(bool)),
        }
        np.testing.assert_array_equal(t.fields["u"][0, :, 0], np.arange(n))
        np.testing.assert_array_equal(t.fields["v"][0], np.arange(4 * n).reshape(n, 4))


def test_clouds_without_fields_carry_their_coordinates(tmp_path):
    clouds = [{"pos": torch.from_numpy(files.values(n, 3))} for n in (4, 6)]
    torch.save(clouds, tmp_path / "f")
    for cloud, t in zip(clouds, open_source(tmp_path / "f"), strict=True):
        assert t.fields.keys() == {"pos"}
        np.testing.assert_array_equal(t.fields["pos"][0:1], cloud["pos"].numpy()[None])


def test_coordinates_that_are_not_finite_are_refused_where_they_are_reached(tmp_path):
    clouds = _cars() + _cars()
    clouds[1]["vertices"] = torch.tensor([[0.0, 0, 0]] * 3 + [[0, torch.inf, 0]] + [[torch.nan] * 3])
    torch.save(clouds, tmp_path / "f")
    trajectories = iter(open_source(tmp_path / "f"))
    assert next(trajectories).coords.shape == (5, 3)
    with pytest.raises(UpsDataError, match=r"entry 1: vertices: 4 values .* point 3\): repair") as caught:
        next(trajectories)
    assert str(tmp_path / "f") in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_strided_tensors_and_files_of_old_torch(tmp_path, legacy):
    x = torch.from_numpy(files.values(6, 5, 4)).permute(2, 1, 0)
    torch.save({"x": x, "y": x * 2}, tmp_path / "f", _use_new_zipfile_serialization=not legacy)
    source = open_source(tmp_path / "f")
    assert len(source) == 4
    np.testing.assert_array_equal(list(source)[2].fields["x"][0, ..., 0], x[2].numpy())


class Dangerous:
    def __reduce__(self):
        return (print, ("code from a file was run",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_needs_unpickling_is_refused_and_runs_nothing(tmp_path, capsys, save):
    save({"x": torch.zeros(2, 3), "y": Dangerous()}, tmp_path / "f")
    with pytest.raises(UpsDataError, match=r"needs unpickling of more than tensors.*save a dict of tensors") as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "was run" not in capsys.readouterr().out


def _cars(**changes):
    car = {"vertices": torch.zeros(5, 3), "press": torch.zeros(1, 5)} | changes
    return [car]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": torch.zeros(3, 4, 4)}, "without a tensor y"),
        ({"x": [1.0], "y": torch.zeros(3, 4)}, "without a tensor x"),
        ({"x": torch.zeros(3, 4, 4), "y": torch.zeros(2, 4, 4)}, "x has shape .* y has"),
        ({"x": torch.zeros(3, 4, 4), "y": torch.zeros(3, 4, 5)}, "x has shape .* y has"),
        ({"x": torch.zeros(3), "y": torch.zeros(3)}, "x has shape .* y has"),
        ({"x": torch.zeros(3, 1, 4, 4), "y": torch.zeros(3, 1, 4, 4)}, "x has shape .* y has"),
        ({"x": torch.zeros(3, 4), "y": torch.zeros(3, 4, dtype=torch.bfloat16)}, "y is a tensor of torch.bfloat16"),
        (torch.zeros(3, 4), "holds a Tensor"),
        ([torch.zeros(3, 4)], "holds a list"),
        ([*_cars(), {"vertices": torch.zeros(5, 3)}], "entry 1 .* press"),
        (_cars(press=torch.zeros(1, 6)), "entry 0: vertices has shape .* press"),
        (_cars(vertices=torch.zeros(5)), "entry 0: vertices has shape"),
        (_cars(vertices=torch.zeros(5, 4)), "entry 0: vertices has shape"),
        (_cars(vertices=torch.zeros(0, 3)), "entry 0: vertices has shape"),
        (_cars(pos=torch.zeros(5, 3)), "entry 0: vertices and pos are both names of coordinates"),
        ([{"press": torch.zeros(1, 5)}], "entry 0 holds press; the coordinates .* missing: save them as vertices"),
        ([*_cars(), *_cars(normals=torch.zeros(5, 3))], "entry 1 has the fields press, normals, entry 0 has press"),
        ([], "no trajectory"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, content, message):
    torch.save(content, tmp_path / "f")
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, share):
    files.write_darcy_pt(tmp_path / "f")
    files.truncate(tmp_path / "f", share)
    for format in (None, "neuraloperator"):
        with pytest.raises(UpsDataError, match="truncated or damaged") as caught:
            open_source(tmp_path / "f", format)
        assert str(tmp_path / "f") in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not files.DARCY_PT.exists(), reason=f"{files.DARCY_PT} is not there")
def test_the_real_darcy_file():
    source = open_source(files.DARCY_PT)
    real = torch.load(files.DARCY_PT, weights_only=True)
    t = list(source)[17]
    assert (len(source), t.fields["x"].dtype, t.fields["x"].shape) == (1000, bool, (1, 16, 16, 1))
    np.testing.assert_array_equal(t.fields["y"][0, ..., 0], real["y"][17].numpy())


@pytest.mark.skipif(not files.BURGERS_PT.exists(), reason=f"{files.BURGERS_PT} is not there")
def test_the_real_burgers_file():
    source = open_source(files.BURGERS_PT)
    t = list(source)[17]
    assert (len(source), t.fields["y"].dtype, t.fields["y"].shape) == (800, np.float64, (17, 16, 1))
    assert t.params == {"visc": pytest.approx(0.01)}
    np.testing.assert_array_equal(t.static["x"], t.fields["y"][0])


@pytest.mark.skipif(not files.CAR_PT.exists(), reason=f"{files.CAR_PT} is not there")
def test_the_real_cars():
    trajectories = list(open_source(files.CAR_PT))
    assert len(trajectories) == 3
    for t in trajectories:
        assert t.coords.shape == (3586, 3)
        shapes = {name: field.shape for name, field in t.fields.items()}
        assert shapes == {"press": (1, 3586, 1), "vertex_normals": (1, 3586, 3)}


def test_what_lies_on_other_points_is_stored_if_it_is_chosen(tmp_path):
    """GINO's distances on a lattice, and what lies on triangles: sets of points of their own, with their values."""
    cars = [
        {
            "vertices": torch.rand(n, 3),
            "press": torch.rand(1, n),
            "distance": torch.rand(2, 3, 4, 1),
            "query_points": torch.rand(2, 3, 4, 3),
            "centroids": torch.rand(2 * n, 3),
            "triangle_areas": torch.rand(2 * n),
        }
        for n in (7, 9)
    ]
    torch.save(cars, tmp_path / "cars.pt")
    plain = open_source(tmp_path / "cars.pt")[1]
    assert (list(plain.fields), plain.sets) == (["press"], {})
    assert plain.left_out["distance"].startswith("lies on query_points: choose it by --variables")
    chosen = SourceOptions(variables=("press", "distance", "triangle_areas"))
    manifest = convert(tmp_path / "cars.pt", tmp_path / "out", reading=chosen, split={"train": 1.0})
    assert set(manifest.sets) == {"vertices", "query_points", "centroids"}
    assert {f.name: f.point_set for f in manifest.fields} == {
        "press": "vertices",
        "distance": "query_points",
        "triangle_areas": "centroids",
    }
    t = open_source(tmp_path / "cars.pt", options=chosen)[1]
    np.testing.assert_array_equal(t.sets["query_points"].coords, cars[1]["query_points"].reshape(-1, 3))
    np.testing.assert_array_equal(t.sets["query_points"].fields["distance"][:], cars[1]["distance"].reshape(1, -1, 1))
    np.testing.assert_array_equal(t.sets["centroids"].fields["triangle_areas"][0, :, 0], cars[1]["triangle_areas"])
