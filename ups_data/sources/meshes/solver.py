"""Cases as solvers write them, read by vtk's readers: OpenFOAM's folders, EnSight's `.case`, CGNS."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.content import Content, look_inside
from ups_data.sources.limits import TEXT_BYTES
from ups_data.sources.meshes.apart.source import VtkRead
from ups_data.sources.meshes.blocks import PARTLY, Blocks, leaves_of
from ups_data.sources.meshes.library import check_vtk, damaged, require_vtk
from ups_data.sources.meshes.references.ensight import check_case
from ups_data.sources.meshes.references.openfoam import check_includes
from ups_data.sources.meshes.vtk_file import Mesh, mesh_of, update
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.trajectory import Trajectory

_TIME = re.compile(r"[0-9.eE+-]*[0-9][0-9.eE+-]*")  # the name of a time's folder


class OpenFoamSource(VtkRead):
    """An OpenFOAM case, a folder with `system/controlDict`: one trajectory with a frame for each time.

        convert("motorBike", "data/motorBike", cast="float32")

    Cell data of the mesh of the whole domain, at the cells' centres; cells of any shape. Fields that only some times
    have, and boundary patches, are left out. The key is the folder's name.

    Raises:
        UpsDataError: vtk is not installed, the case holds no mesh or no time, or a file of it includes one elsewhere.
    """

    format = "openfoam"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        check_vtk(self.path)
        if not (self.path / "system/controlDict").is_file():
            raise UpsDataError(f"{path}: has no system/controlDict, an OpenFOAM case is expected: name another format")
        if not options.allow_links:
            check_includes(self.path, options.expansion)

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "folder" and (content.path / "system/controlDict").is_file()

    def read(self) -> Trajectory:
        """See `VtkRead.read`."""
        vtk = require_vtk(self.path)
        reader = vtk.vtkOpenFOAMReader()
        reader.SetFileName(str(self.path / "system/controlDict"))
        if hasattr(reader, "SetDecomposePolyhedra"):  # later versions never do
            reader.SetDecomposePolyhedra(False)
        reader.SetCreateCellToPoint(False)
        said = update(vtk, reader, information=True)
        times = reader.GetTimeValues()
        if times is None or times.GetNumberOfTuples() == 0:
            raise UpsDataError(f"{self.path}: has no folder of a time, or no mesh: complete the case ({said[:80]})")
        values = np.array([times.GetTuple1(n) for n in range(times.GetNumberOfTuples())])
        reader.EnableAllCellArrays()
        patches = [reader.GetPatchArrayName(n) for n in range(reader.GetNumberOfPatchArrays())]
        for name in patches:
            reader.SetPatchArrayStatus(name, name == "internalMesh")
        t = _Reader(self.path, vtk, reader, values).trajectory(Path(realpath(self.path)).name)
        _check_fields(self.path, [name for name, reason in t.left_out.items() if reason == PARTLY])
        others = {name.rsplit("/", 1)[-1]: "a boundary" for name in patches if name != "internalMesh"}
        return replace(t, left_out={**others, **t.left_out})


class EnSightSource(VtkRead):
    """An EnSight case: one trajectory, each part a set of points.

        convert("results/flow.case", "data/flow")

    Raises:
        UpsDataError: vtk is not installed, the case is damaged, or names files outside of its folder.
    """

    format = "ensight"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind != "ensight":
            raise UpsDataError(f"{path}: {content}, an EnSight case is expected: name another format")
        check_vtk(self.path)
        if self.path.stat().st_size > TEXT_BYTES:
            raise UpsDataError(f"{path}: is longer than {TEXT_BYTES:,} bytes: split the case")
        check_case(self.path, options)

    @property
    def place(self) -> Path:
        """See `VtkRead.place`."""
        return self.path.parent

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "ensight"

    def read(self) -> Trajectory:
        """See `VtkRead.read`."""
        vtk = require_vtk(self.path)
        reader = vtk.vtkGenericEnSightReader()
        reader.SetCaseFileName(str(self.path))
        said = update(vtk, reader, information=True)
        if "ERR" in said.upper():
            raise damaged(self.path, said)
        reader.ReadAllVariablesOn()
        sets = reader.GetTimeSets()
        times = None
        if sets is not None and sets.GetNumberOfItems():
            held = sets.GetItem(0)
            times = np.array([held.GetTuple1(n) for n in range(held.GetNumberOfTuples())])
        return _Reader(self.path, vtk, reader, times, ensight=True).trajectory(self.path.stem)


class _OneFile(VtkRead):
    """A file in HDF5 that a reader of vtk's knows: one trajectory, whose times the reader tells."""

    named: str

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if not self.recognises(content):
            raise UpsDataError(f"{path}: {content}, a {self.named} file is expected: name another format")
        check_vtk(self.path)

    def read(self) -> Trajectory:
        """See `VtkRead.read`."""
        vtk = require_vtk(self.path)
        reader = self._reader(vtk)
        reader.SetFileName(str(self.path))
        said = update(vtk, reader, information=True)
        if "ERR" in said.upper():
            raise damaged(self.path, said)
        self._choose(reader)
        information = reader.GetOutputInformation(0)
        key = vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS()
        times = np.array(information.Get(key)) if information.Has(key) and information.Length(key) > 1 else None
        return _Reader(self.path, vtk, reader, times).trajectory(self.path.stem)

    @abstractmethod
    def _reader(self, vtk: Any) -> Any:
        """A new reader."""

    def _choose(self, reader: Any) -> None:
        """Tell the reader what to read, once it knows what there is: everything, if it is told nothing."""


class CgnsSource(_OneFile):
    """A CGNS file in HDF5: one trajectory, each zone a set of points; solutions at several times are its frames.

    Raises:
        UpsDataError: vtk is not installed, or the file is damaged.
    """

    format = "cgns"
    named = "CGNS"

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "hdf5" and "CGNSLibraryVersion" in content.keys

    def _reader(self, vtk: Any) -> Any:
        return vtk.vtkCGNSReader()

    def _choose(self, reader: Any) -> None:
        reader.EnableAllBases()
        reader.EnableAllPointArrays()
        reader.EnableAllCellArrays()


class VtkHdfSource(_OneFile):
    """A file of VTK in HDF5 (.vtkhdf, .hdf): one trajectory; its blocks are sets of points, its steps frames.

    Raises:
        UpsDataError: vtk is not installed, or the file is damaged.
    """

    format = "vtkhdf"
    named = "VTKHDF"

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "hdf5" and "VTKHDF" in content.keys

    def _reader(self, vtk: Any) -> Any:
        return vtk.vtkHDFReader()


def _check_fields(case: Path, names: Sequence[str]) -> None:
    """Vtk passes over a file that it cannot read: then a field lacks in a frame though it has its file there.

    Raises:
        UpsDataError: one does.
    """
    times = [folder for folder in case.iterdir() if _TIME.fullmatch(folder.name) and folder.is_dir()]
    for name in names:
        if all((time / name).is_file() or (time / f"{name}.gz").is_file() for time in times):
            raise UpsDataError(
                f"{case}: {name} cannot be read at every time, though its files are there: one of them is truncated or "
                "damaged, copy the case again"
            )


class _Reader(Blocks):
    """A reader of vtk that gives a composite for each time."""

    def __init__(self, path: Path, vtk: Any, reader: Any, times: np.ndarray | None, ensight: bool = False) -> None:
        super().__init__(path, times)
        self._vtk, self._reader, self._ensight = vtk, reader, ensight

    def read(self, frame: int) -> dict[str, Mesh]:
        if self._times is not None and self._ensight:
            self._reader.SetTimeValue(float(self._times[frame]))
        said = update(self._vtk, self._reader, None if self._times is None else float(self._times[frame]))
        if "ERR" in said.upper():
            raise damaged(self._path, said)
        data = self._reader.GetOutputDataObject(0)
        if data is not None and data.IsA("vtkDataSet"):
            return {"": mesh_of(self._path, self._vtk, data)} if data.GetNumberOfPoints() else {}
        if data is None or not data.IsA("vtkCompositeDataSet"):
            raise damaged(self._path, said or "nothing could be read")
        return {name: mesh_of(self._path, self._vtk, leaf) for name, leaf in leaves_of(self._vtk, data)}
