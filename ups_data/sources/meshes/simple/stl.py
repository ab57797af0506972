"""STL files: triangles of a surface, each with its centre, area and normal."""

import re
from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.meshes.measures import NORMAL
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite
from ups_data.trajectory import Trajectory

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84
_VERTEX = re.compile(rb"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)


class StlSource(Source):
    """One geometry, one trajectory of one frame; its key is the file's name.

    The triangles' centres are the coordinates; the fields are `cell_area` and `normal`, both from the corners, whatever
    normals the file has. Colours are left out by name.

    Raises:
        UpsDataError: no triangles, a line that is no vertex, a file that is cut, or positions of NaN.
    """

    format = "stl"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in ("stl", "unknown"):
            raise UpsDataError(f"{path}: {content}, an STL file is expected: name another format")
        self._ascii = content.head.lstrip().startswith(b"solid") and b"facet" in content.head

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "stl"

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        corners, left_out = self._corners()
        where = str(self.path)
        finite(where, corners)
        edges = corners[:, 1:].astype(np.float64) - corners[:, :1]
        cross = np.cross(edges[:, 0], edges[:, 1])
        twice = np.linalg.norm(cross, axis=1, keepdims=True)
        normals = np.divide(cross, twice, out=np.zeros_like(cross), where=twice > 0).astype(np.float32)
        fields = {"cell_area": (twice / 2).astype(np.float32), NORMAL: normals}
        return Trajectory(
            key=self.path.stem,
            source=where,
            fields={n: LazyArray((1, *v.shape), v.dtype, partial(_one, v)) for n, v in fields.items()},
            coords=corners.mean(axis=1, dtype=np.float64).astype(np.float32),
            left_out=left_out,
        )

    def _corners(self) -> tuple[np.ndarray, dict[str, str]]:
        """(triangles, 3, 3) float32, and what else is in the file."""
        left_out = {"vertices": "corners of the triangles, which are the points"}
        if not self._ascii:
            size = self.path.stat().st_size
            with open(self.path, "rb") as file:
                count = int.from_bytes(file.read(_HEADER)[80:], "little")
                if count == 0 or size < _HEADER + count * _RECORD.itemsize:
                    raise self._damaged(f"{count:,} triangles do not fit into {size:,} bytes")
                held = np.frombuffer(file.read(count * _RECORD.itemsize), _RECORD)
            if held["attribute"].any():
                left_out["attributes"] = "of triangles, whose meaning the file does not say"
            return held["corners"].copy(), left_out
        text = self.path.read_bytes()
        found = _VERTEX.findall(text)
        facets = len(re.findall(rb"\bendfacet\b", text, re.IGNORECASE))
        if not found or len(found) != 3 * facets or not re.search(rb"\bendsolid\b", text, re.IGNORECASE):
            raise self._damaged(f"{len(found)} corners of {facets} triangles")
        try:
            values = np.array([[float(n) for n in row] for row in found], np.float32)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        return values.reshape(-1, 3, 3), left_out

    def _damaged(self, reason: str) -> UpsDataError:
        return UpsDataError(f"{self.path}: cannot be read as STL, it is truncated or damaged: copy it again ({reason})")


def _one(values: np.ndarray, start: int, stop: int) -> np.ndarray:
    return values
