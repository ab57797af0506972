"""Lists of clouds in a file of torch.save, as neuraloperator's car surfaces."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sources.positions import COORDINATES, are_positions, coordinates_among, finite, own_field
from ups_data.sources.torch import files as torch_files
from ups_data.trajectory import PointSet, Trajectory

# Coordinates of further points that an entry may have → what lies on them.
FURTHER = {
    "query_points": ("distance", "closest_points"),
    "centroids": ("triangle_normals", "triangle_areas", "normalized_triangle_areas"),
}


class Clouds:
    """One trajectory for each entry of a list of dicts, with a number of points of its own.

    `vertices` [N, d] (or another name of COORDINATES) are the coordinates; every tensor [1, N], [N] or [N, C] is a
    field on the points, (1, N, C) (`press`, `vertex_normals`), and without any the coordinates are.

    The distances on a lattice that GINO needs, and what lies on triangles, are on points of their own (FURTHER). They
    are stored only if they are chosen, since lattices are large and the same for every car: with
    `--variables press,distance` a trajectory has the sets of points `vertices` and `query_points`. Others are left out
    by name.

    Args:
        chosen: names of the fields to take; (): all on the vertices.

    Raises:
        UpsDataError: an entry has no coordinates, or other fields than the first.
    """

    def __init__(self, path: Path, loaded: list[dict[str, Any]], chosen: Collection[str] = ()) -> None:
        self._path = path
        self._clouds = [torch_files.arrays(path, cloud) for cloud in loaded]
        self._all = [tuple(map(str, cloud)) for cloud in loaded]
        self._names = [self._field_names(number, cloud) for number, cloud in enumerate(self._clouds)]
        self._sets = [s for s, names in FURTHER.items() if {s, *names} & set(chosen)]
        for number, names in enumerate(self._names):
            if set(names) != set(self._names[0]):
                raise UpsDataError(
                    f"{path}: entry {number} has the fields {', '.join(names) or 'none'}, "
                    f"entry 0 has {', '.join(self._names[0]) or 'none'}: give every entry the same ones"
                )

    def __len__(self) -> int:
        return len(self._clouds)

    def trajectory(self, number: int, key: str) -> Trajectory:
        """One entry."""
        cloud = self._clouds[number]
        name = self._coordinates(number, cloud)
        where = f"{self._path}: entry {number}"
        coords = finite(f"{where}: {name}", cloud[name].whole())
        # every shape has N·C values in the order of points, then channels
        fields: dict[str, Any] = {f: cloud[f].whole().reshape(1, len(coords), -1) for f in self._names[number]}
        points = PointSet(coords, fields or own_field(name, coords))
        further = {s: self._further(where, cloud, s) for s in self._sets}
        stored = {name, *self._names[number], *further, *(f for s in further.values() for f in s.fields)}
        return Trajectory(
            key=key,
            source=str(self._path),
            fields={} if further else points.fields,
            coords=None if further else coords,
            sets={name: points, **further} if further else {},
            left_out={n: _why(n) for n in self._all[number] if n not in stored},
        )

    def _further(self, where: str, cloud: dict[str, torch_files.Array], name: str) -> PointSet:
        if name not in cloud or not are_positions(cloud[name].shape, lead=(1, 2, 3)):
            shape = cloud[name].shape if name in cloud else None
            raise UpsDataError(
                f"{where}: {name} {f'has shape {shape}' if shape else 'is missing'}, positions are expected"
            )
        lead = cloud[name].shape[:-1]
        coords = finite(f"{where}: {name}", cloud[name].whole().reshape(-1, cloud[name].shape[-1]))
        fields: dict[str, Any] = {}
        for field in FURTHER[name]:
            if field not in cloud:
                continue
            if cloud[field].shape[: len(lead)] != lead:
                raise UpsDataError(f"{where}: {field} has shape {cloud[field].shape}, {name} has {cloud[name].shape}")
            fields[field] = cloud[field].whole().reshape(1, len(coords), -1)
        return PointSet(coords, fields or own_field(name, coords))

    def _coordinates(self, number: int, cloud: dict[str, torch_files.Array]) -> str:
        name = coordinates_among(f"{self._path}: entry {number}", cloud)
        if name is None:
            raise UpsDataError(
                f"{self._path}: entry {number} holds {', '.join(cloud) or 'no tensor'}; the coordinates of its points "
                f"are missing: save them as vertices [N, d] (or {', '.join(COORDINATES)})"
            )
        if not are_positions(cloud[name].shape, lead=(1,)):
            raise UpsDataError(
                f"{self._path}: entry {number}: {name} has shape {cloud[name].shape}; [N, d] with d of 1 to 3 is "
                "expected: correct it"
            )
        return name

    def _field_names(self, number: int, cloud: dict[str, torch_files.Array]) -> list[str]:
        coordinates = self._coordinates(number, cloud)
        points = cloud[coordinates].shape[0]
        names = []
        for name, values in cloud.items():
            if name == coordinates:
                continue
            if values.shape == (points,) or (values.ndim == 2 and values.shape[0] == points):
                names.append(name)
            elif values.ndim == 2 and values.shape[0] == 1:
                if values.shape[1] != points:
                    raise UpsDataError(
                        f"{self._path}: entry {number}: {coordinates} has shape {cloud[coordinates].shape} and {name} "
                        f"{values.shape}; [N, d] and [1, N] are expected: correct one of them"
                    )
                names.append(name)
        return names


def _why(name: str) -> str:
    further = next((s for s, names in FURTHER.items() if name in (s, *names)), None)
    if further is None:
        return "lies on other points than the coordinates, or holds no numbers"
    return f"lies on {further}: choose it by --variables, and it is stored in a set of points of its own"
