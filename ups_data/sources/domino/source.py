"""DoMINO's zarr groups (https://github.com/NVIDIA/physicsnemo): surface, volume and geometry of one case."""

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import check_claim, claimed_bytes
from ups_data.sources.netcdf.opening import check_chunks, refuse_pickles
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite, own_field
from ups_data.trajectory import PointSet, Trajectory

# set of points → its coordinates; what lies on it, array → name of the field here
SETS = {
    "surface": ("surface_mesh_centers", ("surface_fields", "surface_normals", "surface_areas")),
    "volume": ("volume_mesh_centers", ("volume_fields",)),
    "stl": ("stl_centers", ("stl_areas",)),
}
NAMES = {"surface_normals": "normal", "surface_areas": "cell_area", "stl_areas": "stl_cell_area"}
PARAMETERS = ("global_params_values", "global_params_reference")


class DominoSource(Source):
    """A zarr group of one case, one trajectory of one frame; its key is the group's name.

    - The sets `surface` (`surface_fields`, `normal`, `cell_area`), `volume` (`volume_fields`) and `stl`
      (`stl_cell_area`), each if the group has it: fields (1, N, C) at the cells' centres.
    - `global_params_values` and `global_params_reference` are parameters, numbered, as are single numbers among the
      group's attributes (`stream_velocity`, `air_density`).
    - The corners of the geometry and its triangles are left out by name.

    Raises:
        UpsDataError: two arrays of a set have different numbers of points, or positions are NaN.
    """

    format = "domino"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if not self.recognises(content):
            raise UpsDataError(f"{path}: {content}, surface_mesh_centers or volume_mesh_centers of DoMINO are expected")
        refuse_pickles(self.path)
        arrays = dict(self._group().arrays())
        there = sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())
        for name, array in arrays.items():
            check_claim(self.path, name, claimed_bytes(array.shape, array.dtype), there, options.expansion)
        self._shapes = {name: tuple(array.shape) for name, array in sorted(arrays.items())}
        known = [name for coords, fields in SETS.values() for name in (coords, *fields) if name in arrays]
        check_chunks(self.path, "zarr", [name for name in (*known, *PARAMETERS) if name in arrays])

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "zarr" and bool({"surface_mesh_centers", "volume_mesh_centers"} & set(content.keys))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> Trajectory:
        group = self._group()
        sets, used = {}, set()
        for name, (coords, fields) in SETS.items():
            if coords in self._shapes:
                sets[name] = self._set(group, coords, [field for field in fields if field in self._shapes])
                used |= {coords, *fields}
        params = {name: float(v) for name, v in group.attrs.items() if isinstance(v, int | float)}
        for name in (name for name in PARAMETERS if name in self._shapes):
            used.add(name)
            for place, value in enumerate(np.asarray(_read(self.path, name, 0, 0), np.float64).reshape(-1)):
                params[f"{name}_{place}"] = float(value)
        return Trajectory(
            key=self.path.name.removesuffix(".zarr"),
            source=str(self.path),
            fields={},
            sets=sets,
            params=params,
            left_out={name: "corners and triangles of the geometry" for name in self._shapes if name not in used},
        )

    def _set(self, group: Any, coords: str, fields: list[str]) -> PointSet:
        shape = self._shapes[coords]
        if len(shape) != 2 or shape[1] not in (1, 2, 3):
            raise UpsDataError(f"{self.path}: {coords} has shape {shape}, (N, 3) is expected")
        found = {}
        for name in fields:
            if self._shapes[name][:1] != shape[:1] or len(self._shapes[name]) > 2:
                raise UpsDataError(f"{self.path}: {name} has shape {self._shapes[name]}, {coords} has {shape}")
            channels = self._shapes[name][1] if len(self._shapes[name]) == 2 else 1
            read = partial(_read, self.path, name)
            found[NAMES.get(name, name)] = LazyArray((1, shape[0], channels), group[name].dtype, read)
        positions = finite(f"{self.path}: {coords}", _read(self.path, coords, 0, 0))
        return PointSet(positions, found or own_field(coords, positions))

    def _group(self) -> Any:
        return _open(self.path)


def _open(path: Path) -> Any:
    zarr = importlib.import_module("zarr")
    try:
        return zarr.open_group(path, mode="r", use_consolidated=False)
    except Exception as error:  # whatever the damage leads to
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read as zarr, it is truncated or damaged: copy it again ({reason})"
        ) from error


def _read(path: Path, name: str, start: int, stop: int) -> np.ndarray:
    looking = importlib.import_module("ups_data.sources.netcdf.blosc")  # late: it takes zarr's codecs
    with looking.chunks_looked_at():
        return np.asarray(_open(path)[name][...])
