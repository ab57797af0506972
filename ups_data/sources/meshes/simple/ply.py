"""PLY files (http://paulbourke.net/dataformats/ply): vertices and what they carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import AXIS_NAMES, Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import HEADER_BYTES, check_claim, check_holes
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.plain.array import FileArray
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import Trajectory

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
PIECE = 1 << 14  # vertices at once
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


class PlySource(Source):
    """One cloud, one trajectory of one frame; its key is the file's name.

    The vertices' `x`, `y` [, `z`] are the coordinates, every other property of theirs (`nx`, `red`, `quality`) a field
    (1, N, 1) of its own type; without any they carry their positions. Faces and other elements are left out
    by name. It is not read by meshio, which takes `uchar` for signed and knows faces by one of two usual names only.

    Raises:
        UpsDataError: vertices do not come first or hold lists, the file is damaged, or positions are NaN.
    """

    format = "ply"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind != "ply":
            raise UpsDataError(f"{path}: {content}, a PLY file is expected: name another format")
        self._header = _read_header(self.path)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "ply"

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        header = self._header
        names = header.dtype.names or ()
        axes = [name for name in AXIS_NAMES if name in names]
        positions = np.stack(header.columns(self.path, axes), axis=1)
        coords = finite(str(self.path), positions.astype(positions.dtype.newbyteorder("="), copy=False))
        fields = {
            name: LazyArray((1, header.count, 1), header.dtype[name], partial(_column, header, self.path, name))
            for name in names
            if name not in axes
        }
        return Trajectory(
            key=self.path.stem,
            source=str(self.path),
            fields=fields or own_field("position", coords),
            coords=coords,
            left_out=dict.fromkeys(header.others, "an element beside the vertices"),
        )


def _column(header: "_Header", path: Path, name: str, start: int, stop: int) -> np.ndarray:
    return header.columns(path, [name])[0]


@dataclass(frozen=True)
class _Header:
    ascii: bool
    count: int
    dtype: np.dtype
    offset: int
    others: tuple[str, ...] = ()

    def columns(self, path: Path, names: Sequence[str]) -> list[np.ndarray]:
        """`(N,)` of each property, of its own type; read a piece of the vertices at a time."""
        if self.ascii:
            table = self._table(path)
            return [table[:, (self.dtype.names or ()).index(name)].astype(self.dtype[name]) for name in names]
        records = FileArray(path, self.dtype, (self.count,), self.offset)
        found = [np.empty(self.count, self.dtype[name]) for name in names]
        for start in range(0, self.count, PIECE):
            piece = records.part(start, min(start + PIECE, self.count))
            for name, column in zip(names, found, strict=True):
                column[start : start + len(piece)] = piece[name]
        return found

    def _table(self, path: Path) -> np.ndarray:
        try:
            with open(path, "rb") as file:
                file.seek(self.offset)
                columns = len(self.dtype.names or ())
                table = np.loadtxt(file, max_rows=self.count, ndmin=2, usecols=range(columns))
            if len(table) < self.count:
                raise ValueError(f"{len(table)} of {self.count} vertices")
        except (ValueError, OSError) as error:
            raise _damaged(path, error) from error
        return table


def _read_header(path: Path) -> _Header:
    lines: list[list[str]] = []
    with open(path, "rb") as file:
        while not lines or lines[-1] != ["end_header"]:
            line = file.readline(4096)
            if not line or file.tell() > HEADER_BYTES:
                raise _damaged(path, EOFError("the header has no end"))
            lines.append(line.decode("latin-1").split())
        offset = file.tell()
    words = [line for line in lines[1:-1] if line and line[0] not in ("comment", "obj_info")]
    elements = [i for i, line in enumerate(words) if line[0] == "element"]
    encoding = words[0][1] if words and words[0][0] == "format" and len(words[0]) > 1 else ""
    if encoding not in _ORDERS or not elements:
        raise _damaged(path, ValueError("no format or no element in its header"))
    first = words[elements[0]]
    if first[1:2] != ["vertex"] or len(first) != 3 or not first[2].isdigit():
        raise UpsDataError(f"{path}: its first element is {' '.join(first[1:])}, not vertices: save the vertices first")
    end = elements[1] if len(elements) > 1 else len(words)
    columns = []
    for entry in words[elements[0] + 1 : end]:
        if len(entry) != 3 or entry[0] != "property" or entry[1] not in _TYPES:
            raise UpsDataError(f"{path}: its vertices have a {' '.join(entry)!r}: save single numbers only")
        columns.append((entry[2], _ORDERS[encoding] + _TYPES[entry[1]]))
    if not {"x", "y"} <= {name for name, _ in columns} or int(first[2]) == 0:
        raise UpsDataError(f"{path}: has no vertices with x, y[, z]: save their positions under these names")
    try:
        others = tuple(words[at][1] for at in elements[1:] if len(words[at]) > 1)
        header = _Header(encoding == "ascii", int(first[2]), np.dtype(columns), offset, others)
    except ValueError as error:
        raise _damaged(path, error) from error
    if header.ascii:  # of a number, at least a digit and what parts it from the next one
        check_holes(path)
        check_claim(
            path, f"a list of {header.count:,} vertices", 8 * header.count * len(columns), path.stat().st_size, 4
        )
    if not header.ascii and path.stat().st_size < offset + header.count * header.dtype.itemsize:
        raise _damaged(path, EOFError(f"it ends before its {header.count} vertices do"))
    return header


def _damaged(path: Path, error: Exception) -> UpsDataError:
    reason = " ".join(str(error).split())[:200]
    return UpsDataError(f"{path}: cannot be read as PLY, it is truncated or damaged: save or copy it again ({reason})")
