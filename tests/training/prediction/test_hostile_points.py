"""Files of points from anywhere: points, or one line; no memory is taken on a claim."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.processes import seconds
from ups_data import UpsDataError
from ups_data.training.prediction.places import MOST_BYTES, read_points


def claim(path: Path, shape: tuple[int, ...] = (2**40, 3), kind: str = "<f8") -> None:
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
        file.write(bytes(48))


def hole(path: Path) -> None:
    path.write_bytes(b"0.5,0.5\n")
    os.truncate(path, MOST_BYTES * 100)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty": (".npy", Path.touch),
    "no table": (".csv", Path.touch),
    "a claim": (".npy", claim),
    "a claim beyond int64": (".npy", lambda p: claim(p, (2**62, 2**62))),
    "objects": (".npy", lambda p: np.save(p, np.array([{}, []], object))),
    "text": (".npy", lambda p: np.save(p, np.array(["a", "b"]))),
    "complex": (".npy", lambda p: np.save(p, np.ones((2, 2), complex) * 1j)),
    "a broken header": (".npy", lambda p: p.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8', ((((((")),
    "another version": (".npy", lambda p: p.write_bytes(b"\x93NUMPY\x09\x00\x10\x00")),
    "archive": (".npy", lambda p: p.write_bytes(b"PK\x03\x04" + bytes(100))),
    "a hole": (".csv", hole),
    "a pipe": (".csv", os.mkfifo),
    "a folder": (".npy", Path.mkdir),
    "words": (".txt", lambda p: p.write_text("x y\n\x1b[1m 2\n")),
    "not finite": (".csv", lambda p: p.write_text("nan,1\n")),
    "ragged": (".csv", lambda p: p.write_text("1,2\n1\n")),
    "no bytes of text": (".csv", lambda p: p.write_bytes(b"\xff\xfe\x00")),
    "four columns": (".npy", lambda p: np.save(p, np.zeros((2, 4)))),
    "none": (".npy", lambda p: np.save(p, np.zeros((0, 2)))),
    "a link to nothing": (".npy", lambda p: p.symlink_to("nothing")),
}


@pytest.mark.parametrize("name", FILES)
def test_points_that_are_none(tmp_path: Path, name: str) -> None:
    suffix, write = FILES[name]
    path = tmp_path / f"points{suffix}"
    write(path)
    with seconds(60), pytest.raises(UpsDataError) as caught:
        read_points(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_points_that_are_some(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((5, 2))
    np.save(tmp_path / "p.npy", np.asfortranarray(points))
    np.savetxt(tmp_path / "p.csv", points, delimiter=",")
    np.savetxt(tmp_path / "p.txt", points)
    for name in ("p.npy", "p.csv", "p.txt"):
        np.testing.assert_allclose(read_points(tmp_path / name), points)
