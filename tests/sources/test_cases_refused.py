"""Folders with a file per quantity that cannot be read: one line each."""

import pickle

import numpy as np
import pytest
import torch

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source


class Dangerous:
    def __reduce__(self):
        return (print, ("code from a file was run",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_needs_unpickling_is_refused_and_runs_nothing(tmp_path, capsys, save):
    files.write_case(tmp_path / "a", position=files.values(5, 2))
    save(Dangerous(), tmp_path / "a" / "u.pt")
    with pytest.raises(UpsDataError, match="needs unpickling of more than tensors") as caught:
        list(open_source(tmp_path))
    assert str(tmp_path / "a" / "u.pt") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "was run" not in capsys.readouterr().out


N2, P = files.values(9, 2), files.values(9)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"position": N2, "u": P[:8]}, r"u.pt has shape \(8,\) and fits none of its sets of points \(points of 9"),
        ({"position": N2, "u": np.zeros((4, 9))}, r"u.pt has shape \(4, 9\) and fits none"),
        ({"position": N2, "u": np.zeros((4, 8, 1))}, "u.pt has shape .* fits none"),
        ({"position": N2, "u": np.zeros((9, 9))}, "u.pt has shape .* which axis is points cannot be told"),
        (
            {"position": np.zeros((9, 4)), "u": P},
            r"no coordinates .*\(position \(9, 4\), u \(9,\)\): name them position",
        ),
        ({"position": P, "u": P}, "no coordinates of points among its files"),
        ({"x": P, "y": P[:8]}, "x has shape .* y has shape .* as many values"),
        ({"position": N2, "pos": N2}, "pos.pt and position.pt are both coordinates"),
        (
            {"a_position": N2, "b_position": N2[:8], "u": P},
            r"u.pt has shape \(9,\) and fits none of its sets of points \(a of 9 points, b of 8 points\)",
        ),
        (
            {"a_position_x1": N2, "a_position_x2": N2, "a_u": P},
            r"a_u.pt has shape \(9,\) and fits several sets of points \(a_x1 of 9 points, a_x2 of 9 points\)",
        ),
        ({"position": N2, "frame_0_u": P, "frame_1_u": P, "frame_3_u": P}, "u are not evenly numbered, 00000003_u.pt"),
        (
            {"position": N2, "frame_0_u": P, "frame_0_v": P, "frame_1_v": P},
            "v has 2 frames from 00000000_v.pt on, u has 1",
        ),
        ({"position": N2, "frame_0_u": P, "u": P}, "u.pt and 00000000_u.pt: keep either"),
        ({"position": N2, "frame_0_u": P, "frame_1_u": P[:8]}, "00000001_u.pt: holds float32 of shape"),
        ({"position": N2, "frame_0_u": P, "frame_1_u": P.astype(float)}, "00000001_u.pt: holds float64"),
        (
            {"position": N2, "frame_0_u": P, "frame_1_u": P, "time": np.arange(3.0)},
            "frames differ, u has 2, time has 3",
        ),
        ({"position": N2, "u": P, "time": np.arange(3.0)}, "frames differ, time has 3"),
        ({"position": np.zeros((3, 9, 2)), "u": np.zeros((2, 9, 1))}, "frames differ, position has 3, u has 2"),
        ({"position": N2, "u": P, "time": np.zeros((1, 1))}, "time has shape"),
        (
            {"position": np.where(np.arange(9) == 4, np.nan, P)[:, None]},
            r"position.pt: 1 values of the coordinates .*point 4",
        ),
        ({"x": P, "y": np.where(np.arange(9) == 4, np.inf, P)}, r"x.pt: 1 values of the coordinates .*point 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, arrays, message):
    files.write_case(tmp_path / "a", **arrays)
    with pytest.raises(UpsDataError, match=message) as caught:
        [t] = open_source(tmp_path)
        _ = [field[:] for field in t.fields.values()]
    assert str(tmp_path / "a") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda folder: (folder / "u.bin").write_bytes(b"junk"),
            "u.bin: bytes of no known kind, one array is expected",
        ),
        (lambda folder: files.write_tensor(folder / "u.h5"), "u.h5: an HDF5 file"),
        (lambda folder: torch.save([1], folder / "u.pt"), "u.pt: holds a list, one tensor"),
        (
            lambda folder: torch.save({"a": torch.zeros(3)}, folder / "u.pt"),
            "u.pt: a dict whose 'a' is no single number",
        ),
        (lambda folder: torch.save(torch.zeros(9, dtype=torch.bfloat16), folder / "u.pt"), "bfloat16"),
        (lambda folder: torch.save(torch.zeros(9, dtype=torch.complex64), folder / "u.pt"), "complex64"),
        (lambda folder: np.save(folder / "u.npy", np.array([{}] * 9), allow_pickle=True), "Python objects"),
        (lambda folder: (folder / "u.npy").write_bytes(b""), "u.npy: the file is empty"),
        (lambda folder: np.save(folder / "position.npy", N2), "holds position.npy and position.pt: keep one"),
        (lambda folder: (folder / "more").mkdir() or np.save(folder / "more" / "u.npy", P), "beside folders"),
    ],
)
def test_what_is_no_array_is_refused_in_one_line(tmp_path, write, message):
    files.write_case(tmp_path / "a", position=N2)
    write(tmp_path / "a")
    with pytest.raises(UpsDataError, match=message) as caught:
        list(open_source(tmp_path))
    assert str(tmp_path / "a") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path, share):
    files.write_case(tmp_path / "a", ".pt", position=N2, u=P)
    files.truncate(tmp_path / "a" / "u.pt", share)
    with pytest.raises(UpsDataError, match="truncated or damaged") as caught:
        list(open_source(tmp_path))
    assert str(tmp_path / "a" / "u.pt") in str(caught.value)
    assert "\n" not in str(caught.value)
