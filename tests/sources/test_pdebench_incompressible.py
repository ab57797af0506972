import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


def test_velocity_particles_and_a_static_force(tmp_path):
    written = files.write_incompressible(tmp_path / "f", count=2, frames=6, grid=(5, 4))
    source = open_source(tmp_path / "f")
    assert (source.format, len(source)) == ("pdebench", 2)
    for number, t in enumerate(source):
        assert {name: field.shape for name, field in t.fields.items()} == {
            "velocity": (6, 5, 4, 2),
            "particles": (6, 5, 4, 1),
        }
        assert {name: field.shape for name, field in t.static.items()} == {"force": (5, 4, 2)}
        for name, field in (*t.fields.items(), *t.static.items()):
            np.testing.assert_array_equal(field[:], written[name][number])
            np.testing.assert_array_equal(field[1:3], written[name][number, 1:3])
        np.testing.assert_array_equal(t.time, written["t"][number])
        assert (t.axes, t.coords) == (None, None)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("force", None, "also needs force"),
        ("t", None, "also needs t"),
        ("particles", (2, 5, 5, 4, 1), "particles has shape"),
        ("particles", (3, 6, 5, 4, 1), "particles has shape"),
        ("force", (1, 5, 4, 2), "force has shape"),
        ("t", (2, 4), r"t\[0\] has shape"),
        ("t", (6,), "t has shape"),
        ("velocity", (2, 6, 5), "velocity has shape"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, name, shape, message):
    files.write_incompressible(tmp_path / "f")
    with h5py.File(tmp_path / "f", "r+") as file:
        del file[name]
        if shape:
            file[name] = files.values(*shape)
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path / "f"))
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)
