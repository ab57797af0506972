from pathlib import Path

import pytest

from ups_data.sources.cases.names import SetName, candidates, coordinates_in, names_coordinates, quantities, set_labels


def test_frames_are_in_the_order_of_their_numbers():
    names = ["10_u.pt", "x.pt", "00000002_u.pt", "6_u.pt"]
    found = quantities(Path("case"), [Path(name) for name in names])
    assert found.keys() == {"u", "x"}
    assert found["u"].numbers == (2, 6, 10)
    assert [file.name for file in found["u"].files] == ["00000002_u.pt", "6_u.pt", "10_u.pt"]
    assert (found["x"].numbered, found["x"].files) == (False, (Path("x.pt"),))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("position", SetName("")),
        ("surface_position", SetName("surface")),
        ("mesh_points", SetName("mesh")),
        ("volume_cell_position", SetName("volume_cell")),
        ("surface_position_stl_resampled100k", SetName("surface", "stl_resampled100k")),
        ("points_pos", SetName("points")),
        ("pressure", None),
        ("composition", None),
        ("pointless_u", None),
    ],
)
def test_the_word_for_coordinates_names_the_set(name, expected):
    assert coordinates_in(name) == expected
    assert names_coordinates(name) == names_coordinates(f"00000003_{name}") == (expected is not None)


def test_components_look_like_coordinates():
    assert names_coordinates("x")
    assert not names_coordinates("y")


CAR, INNER, BARE = SetName("car"), SetName("car_inner"), SetName("")
VTP, STL = SetName("car", "vtp"), SetName("car", "stl")


@pytest.mark.parametrize(
    ("name", "sets", "expected"),
    [
        ("car_p", [CAR, INNER], [CAR]),
        ("car_inner_p", [CAR, INNER], [INNER]),
        ("carpet", [CAR, INNER], []),
        ("carpet", [CAR, BARE], [BARE]),
        ("p", [CAR], [CAR]),
        ("p", [CAR, INNER], []),
        ("p", [CAR, INNER, BARE], [BARE]),
        ("car_normal_stl", [VTP, STL], [STL]),
        ("car_p", [VTP, STL], [VTP, STL]),
        ("car", [CAR, BARE], [CAR]),
    ],
)
def test_a_name_means_the_set_that_shares_most_with_it(name, sets, expected):
    assert candidates(name, sets) == expected


def test_labels_have_suffixes_only_where_prefixes_repeat():
    assert set_labels([CAR, BARE]) == {CAR: "car", BARE: "points"}
    assert set_labels([VTP, STL, INNER]) == {VTP: "car_vtp", STL: "car_stl", INNER: "car_inner"}
    assert set_labels([SetName("", "a"), SetName("", "b")]) == {SetName("", "a"): "a", SetName("", "b"): "b"}
