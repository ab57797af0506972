"""A folder for each run, in it a file for each set of points: `run_3/boundary_3.vtp`, `run_3/volume_3.vtu`."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.sources.listing import BESIDE
from ups_data.trajectory import ArrayLike, PointSet, Trajectory

_NUMBERED = re.compile(r"(.*[^0-9_])_?([0-9]+)")
MESHES = {".vtu", ".vtp", ".vtk", ".vti", ".vts", ".vtr", ".pvtu", ".pvtp", ".pvd", ".ply", ".obj", ".stl"}


def parts_of_run(folder: Path, files: Sequence[Path]) -> dict[str, Path] | None:
    """name of a set → its file, if the folder `run_3` holds several meshes that end in its number; else None."""
    run = _NUMBERED.fullmatch(folder.name)
    found = [(_NUMBERED.fullmatch(file.stem), file) for file in files]
    if run is None or len(files) < 2 or any(file.suffix not in MESHES for file in files):
        return None
    parts = {match[1]: file for match, file in found if match is not None and int(match[2]) == int(run[2])}
    return parts if len(parts) == len(files) else None


def is_run(folder: Path, files: Sequence[Path]) -> bool:
    """Whether the folder `run_3` holds meshes, all of which end in its number."""
    run, found = _NUMBERED.fullmatch(folder.name), [_NUMBERED.fullmatch(file.stem) for file in files]
    numbers = {int(match[2]) if match is not None else -1 for match in found}
    return run is not None and numbers == {int(run[2])} and all(file.suffix in MESHES for file in files)


def _beside(folder: Path) -> dict[str, str]:
    """What lies beside the meshes of a run, without its number, and why it is not stored."""
    found = {}
    for item in folder.iterdir():
        match = _NUMBERED.fullmatch(item.stem)
        if item.is_dir():
            found[item.name] = "a folder beside the meshes of a run"
        elif item.suffix in BESIDE:
            found[f"{match[1] if match else item.stem}{item.suffix}"] = "a file beside the meshes of a run"
    return found


class RunsSource(Source):
    """One trajectory for each folder, whose files are its sets of points.

    A file that has several sets itself gives as many, called `<file>_<set>`. A field that two sets have is called
    `<set>_<field>` in both. A parameter belongs to the run, whichever file has it. The key is the folder's name. Tables
    and folders beside the meshes are left out by name.

    Raises:
        UpsDataError: a file is a grid, or holds several trajectories; the frames or the parameters of a run's
            files differ.
    """

    def __init__(
        self, path: Path, leaves: Sequence[tuple[Path, list[Path]]], open_file: Callable[[Path], Source]
    ) -> None:
        super().__init__(path)
        self._runs = [(folder, parts_of_run(folder, files) or {}) for folder, files in leaves]
        self._open_file = open_file
        self.format = open_file(next(iter(self._runs[0][1].values()))).format

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, number: int, /) -> Trajectory:
        folder, parts = self._runs[number]
        opened = {name: self._one(file) for name, file in parts.items()}
        sets: dict[str, PointSet] = {}
        for name, part in opened.items():
            whole = PointSet(part.coords, part.fields, part.static, part.units) if part.coords is not None else None
            sets |= {name: whole} if whole else {f"{name}_{s}": points for s, points in part.sets.items()}
        times = [part.time for part in opened.values() if part.time is not None]
        return Trajectory(
            key=folder.name,
            source=str(folder),
            fields={},
            time=times[0] if times else None,
            params=_params(folder, opened),
            sets=apart(sets),
            left_out={f"{name}: {n}": why for name, part in opened.items() for n, why in part.left_out.items()}
            | _beside(folder),
        )

    def _one(self, file: Path) -> Trajectory:
        source = self._open_file(file)
        part = source[0] if len(source) == 1 else None
        if part is None or (part.coords is None and not part.sets):
            raise UpsDataError(f"{file}: one mesh is expected among the sets of points of a run: move it elsewhere")
        return part


def _params(folder: Path, opened: dict[str, Trajectory]) -> dict[str, float]:
    """The parameters of all files of a run."""
    found: dict[str, float] = {}
    for name, part in opened.items():
        for param, value in part.params.items():
            if found.setdefault(param, value) != value:
                raise UpsDataError(
                    f"{folder}: {param} is {found[param]:g} in one file and {value:g} in that of {name}: correct it"
                )
    return found


def apart(sets: dict[str, PointSet]) -> dict[str, PointSet]:
    """The same with the set's name before fields that several have."""
    names = [name for points in sets.values() for name in (*points.fields, *points.static)]

    def renamed(set_name: str, fields: dict[str, ArrayLike]) -> dict[str, ArrayLike]:
        return {f"{set_name}_{n}" if names.count(n) > 1 else n: values for n, values in fields.items()}

    return {
        name: PointSet(
            points.coords,
            renamed(name, dict(points.fields)),
            renamed(name, dict(points.static)),
            {f"{name}_{n}" if names.count(n) > 1 else n: unit for n, unit in points.units.items()},
        )
        for name, points in sets.items()
    }
