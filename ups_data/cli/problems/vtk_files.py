"""Files of VTK's XML kind, written without vtk: arrays follow the header as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LINE, QUAD = 3, 9  # VTK's types of cells
_NAMES = {"f4": "Float32", "f8": "Float64", "i4": "Int32", "i8": "Int64", "u1": "UInt8"}
_SECTIONS = {".vtp": ("PolyData", "Lines"), ".vtu": ("UnstructuredGrid", "Cells")}


@dataclass
class VtkMesh:
    """What a file holds.

    Attributes:
        points: `(N, 2 or 3)`; a third coordinate of 0 is added where it is missing.
        cells: `(M, corners)`, numbers of points: lines of 2 in a .vtp, quadrilaterals of 4 in a .vtu.
        point_data: name → `(N,)` or `(N, C)`.
        params: name → one number, in the file's field data.
    """

    points: np.ndarray
    cells: np.ndarray
    point_data: Mapping[str, np.ndarray] = field(default_factory=dict)
    params: Mapping[str, float] = field(default_factory=dict)


def write_vtk(path: Path, mesh: VtkMesh) -> None:
    """Write a .vtp of lines or a .vtu of quadrilaterals; the same mesh gives the same bytes."""
    kind, section = _SECTIONS[path.suffix]
    arrays = _Arrays()
    points = np.zeros((len(mesh.points), 3), np.float32)
    points[:, : mesh.points.shape[1]] = mesh.points
    count, corners = mesh.cells.shape
    cells = [("connectivity", mesh.cells.reshape(-1).astype(np.int32))]
    cells.append(("offsets", corners * np.arange(1, count + 1, dtype=np.int32)))
    if kind == "UnstructuredGrid":
        cells.append(("types", np.full(count, QUAD, np.uint8)))
    number = "NumberOfLines" if kind == "PolyData" else "NumberOfCells"
    lines = [
        f'<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f"<{kind}>",
        *arrays.section("FieldData", [(name, np.array([value], np.float64)) for name, value in mesh.params.items()]),
        f'<Piece NumberOfPoints="{len(points)}" {number}="{count}">',
        *arrays.section("PointData", [(name, values.astype(np.float32)) for name, values in mesh.point_data.items()]),
        *arrays.section("Points", [("Points", points)]),
        *arrays.section(section, cells),
        "</Piece>",
        f"</{kind}>",
        '<AppendedData encoding="raw">',
    ]
    with open(path, "wb") as file:
        file.write("\n".join(lines).encode() + b"\n_")
        for values in arrays.appended:
            file.write(np.uint64(values.nbytes).tobytes())
            file.write(np.ascontiguousarray(values).tobytes())
        file.write(b"\n</AppendedData>\n</VTKFile>\n")


class _Arrays:
    """The arrays so far, and where the next one will begin."""

    def __init__(self) -> None:
        self.appended: list[np.ndarray] = []
        self._offset = 0

    def section(self, name: str, arrays: list[tuple[str, np.ndarray]]) -> Iterator[str]:
        """The lines of one section of the header."""
        yield f"<{name}>"
        for array, values in arrays:
            tuples = f' NumberOfTuples="{len(values)}"' if name == "FieldData" else ""
            yield (
                f'<DataArray type="{_NAMES[values.dtype.str[1:]]}" Name="{array}"{tuples} '
                f'NumberOfComponents="{values.shape[1] if values.ndim > 1 else 1}" format="appended" '
                f'offset="{self._offset}"/>'
            )
            self.appended.append(values)
            self._offset += 8 + values.nbytes
        yield f"</{name}>"
