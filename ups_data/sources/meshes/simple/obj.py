"""Wavefront OBJ files: the positions of their vertices."""

from functools import partial
from pathlib import Path

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.limits import LINE_BYTES, check_holes
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import Trajectory

OTHERS = {b"vn": "normals", b"vt": "textures", b"vp": "parameters", b"f": "faces", b"l": "lines", b"p": "points"}


class ObjSource(Source):
    """One geometry, one trajectory of one frame; its key is the file's name.

    The lines `v x y z` are the coordinates, which are the one field too, `position`. Normals and textures are left out:
    they are numbered on their own and belong to corners of faces, not to vertices.

    Raises:
        UpsDataError: no vertices, a vertex that is not three numbers, or positions of NaN.
    """

    format = "obj"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind not in ("obj", "unknown"):  # an OBJ file has no signature, and may begin with anything
            raise UpsDataError(f"{path}: {content}, an OBJ file is expected: name another format")

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "obj"

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        positions, left_out = self._read()
        coords = finite(str(self.path), positions)
        return Trajectory(
            key=self.path.stem,
            source=str(self.path),
            fields=own_field("position", coords),
            coords=coords,
            left_out=left_out,
        )

    def _read(self) -> tuple[np.ndarray, dict[str, str]]:
        """Positions, and what else is in the file."""
        positions: list[float] = []
        left_out: dict[str, str] = {}
        check_holes(self.path, self.options.expansion)
        with open(self.path, "rb") as file:
            for number, line in enumerate(iter(partial(file.readline, LINE_BYTES), b""), start=1):
                if len(line) == LINE_BYTES:
                    raise UpsDataError(
                        f"{self.path}: line {number} is longer than {LINE_BYTES:,} bytes, which no OBJ file has: "
                        "name another format"
                    )
                words = line.split()
                if words[:1] != [b"v"]:
                    if words and words[0] in OTHERS:
                        left_out[OTHERS[words[0]]] = "numbered on its own, by corners of faces, not by vertices"
                    continue
                if len(words) > 4:
                    left_out["weights or colours"] = "of vertices, whose meaning the file does not say"
                try:
                    x, y, z = map(float, words[1:4])  # a weight or a colour may follow
                except ValueError as error:
                    raise UpsDataError(
                        f"{self.path}: line {number} is no vertex of three numbers: correct it, or copy the file again"
                    ) from error
                positions += (x, y, z)
        if not positions:
            raise UpsDataError(f"{self.path}: no line `v x y z` in it, an OBJ file is expected: name another format")
        return np.array(positions).reshape(-1, 3), left_out
