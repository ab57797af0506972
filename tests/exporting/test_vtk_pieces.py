"""Files of VTK are written in pieces: whatever their size, the files are the same, and others read what was given."""

from pathlib import Path

import meshio
import numpy as np
import pytest

from ups_data.exporting import vtk_xml
from ups_data.exporting.vtk import write_vtk
from ups_data.trajectory import Axis, Trajectory

SHAPES = [(7,), (5, 6), (3, 4, 5), (1, 4)]


def trajectory(shape: tuple[int, ...], *, cloud: bool) -> Trajectory:
    rng = np.random.default_rng(0)
    given = {"fields": {"u": rng.random((1, *shape, 2)).astype(np.float32), "p": rng.random((1, *shape, 1))}}
    if cloud:
        points = int(np.prod(shape))
        flat = {name: values.reshape(1, points, -1) for name, values in given["fields"].items()}
        return Trajectory("0", "here", flat, time=np.zeros(1), coords=rng.random((points, 2), np.float32))
    axes = tuple(Axis(name, np.linspace(1, 2, n) ** 2) for name, n in zip("zyx"[-len(shape) :], shape, strict=True))
    return Trajectory("0", "here", given["fields"], time=np.zeros(1), axes=axes)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("cloud", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], cloud: bool
) -> None:
    given, written = trajectory(shape, cloud=cloud), []
    for size in (1 << 20, 1, 40, 100):
        monkeypatch.setattr(vtk_xml, "PIECE_BYTES", size)
        for lattice in (False, True):
            (folder := tmp_path / f"{size}" / f"{lattice}").mkdir(parents=True)
            write_vtk(folder, given, lattice=lattice)
        written.append(files(tmp_path / f"{size}"))
    assert all(found == written[0] for found in written[1:])
    mesh = meshio.read(tmp_path / "40" / "False" / "0" / "frame-000000.vtu")
    for name, values in given.fields.items():
        np.testing.assert_array_equal(mesh.point_data[name].reshape(values[0].shape), values[0])
    if given.coords is not None:
        np.testing.assert_array_equal(mesh.points[:, :2], given.coords[:])
        return
    assert given.axes is not None
    lines = [axis.coordinates for axis in given.axes]
    at = np.stack([m.ravel() for m in reversed(np.meshgrid(*lines, indexing="ij"))], axis=-1)
    np.testing.assert_array_equal(mesh.points[:, : len(lines)], at)
    (cells,) = mesh.cells
    if min(shape) > 1:  # a cell's corners are the ends of one step along each axis
        assert len(cells.data) == np.prod([n - 1 for n in shape])
        corners = np.stack(np.unravel_index(cells.data, shape), axis=-1)
        assert (np.ptp(corners, axis=1) == 1).all()
        assert (np.diff(np.sort(cells.data, axis=1), axis=1) > 0).all()
