"""What a file holds, told from its bytes and the names inside, never from its extension."""

import itertools
import os
import re
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py

from ups_data.errors import UpsDataError
from ups_data.sources.hdf5.files import opened
from ups_data.sources.hdf5.gate import check_links
from ups_data.sources.links import check_file, check_folder
from ups_data.sources.listing import is_zarr
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.plain.archive import ERRORS

_OBJ_KEYWORDS = set(b"v vn vt vp f l p g o s mtllib usemtl".split())
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
KINDS = {
    "hdf5": "an HDF5 file",
    "npy": "a NumPy .npy file",
    "npz": "a NumPy .npz archive",
    "torch": "a file of torch.save",
    "zip": "a zip archive",
    "mat": "a MATLAB file",
    "netcdf": "a classic NetCDF file",
    "zarr": "a zarr group",
    "folder": "a folder",
    "vtk": "a legacy VTK file",
    "vtu": "a VTK file in XML",
    "ply": "a PLY file",
    "obj": "an OBJ file",
    "stl": "an STL file",
    "series": "a series of files of VTK",
    "ensight": "an EnSight case",
    "unknown": "bytes of no known kind",
}


@dataclass(frozen=True)
class Content:
    """`kind`: a key of KINDS. `keys`: the names at the top of the file, empty where its kind has none.

    `inside`: the names in the first group of an HDF5 file. `netcdf`: whether that file is NetCDF 4. `path`: where it
    lies. `head`: a file's first 4,096 bytes. A folder's `keys` are the names of what lies in it.
    """

    kind: str
    keys: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    netcdf: bool = False
    path: Path = Path()
    head: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        shown = ", ".join(self.keys[:8]) + (", …" if len(self.keys) > 8 else "")
        return (
            f"{KINDS[self.kind]} holding {shown or 'nothing'}"
            if self.kind in ("hdf5", "npz", "zip")
            else (KINDS[self.kind])
        )


def look_inside(path: Path, options: SourceOptions = DEFAULTS) -> Content:
    """Reads a few bytes and the table of names, after a look at what of it lies elsewhere.

    Raises:
        UpsDataError: the file cannot be opened, is empty, or is damaged so that its names cannot be listed; it is no
            regular file, or leads to other files, where that is not allowed.
    """
    if path.is_dir():
        if not is_zarr(path):
            return Content("folder", _names(path), path=path)
        check_folder(path, allow_links=options.allow_links, hidden=True)
        return Content("zarr", _names(path), path=path)
    check_file(path)
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be opened ({error.strerror}): check the path") from error
    if not head:
        raise UpsDataError(f"{path}: the file is empty: download or copy it again")
    return replace(_of_file(path, head, options), path=path, head=head)


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))
    except OSError as error:
        raise UpsDataError(f"{folder}: cannot be listed ({error.strerror}): check the path") from error


def _of_file(path: Path, head: bytes, options: SourceOptions) -> Content:
    # a user block may put the signature at 512, 1024, 2048 …; simulations leave it out, other tools may not
    if any(head[at:].startswith(HDF5_SIGNATURE) for at in (0, 512, 1024, 2048)):
        check_links(path, options)
        with opened(path) as hdf5:
            keys = tuple(hdf5.keys())
            first = hdf5[keys[0]] if keys else None
            inside = tuple(first.keys()) if isinstance(first, h5py.Group) else ()
            return Content("hdf5", keys, inside, netcdf=_is_netcdf(hdf5))
    if head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")):
        return Content("netcdf")
    if head.startswith((b"MATLAB 5.0 MAT-file", b"MATLAB 7.0 MAT-file")):
        return Content("mat")
    if head.startswith(b"\x93NUMPY"):
        return Content("npy")
    if head.startswith(b"PK"):
        return _inside_zip(path)
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":  # a bare pickle, as torch.save wrote before 1.6
        return Content("torch")
    return Content("stl" if _is_binary_stl(path, head) else _mesh_kind(head))


def _is_netcdf(file: h5py.File) -> bool:
    """NetCDF 4, whose earlier versions and other writers leave nothing but dimension scales."""
    if "_NCProperties" in file.attrs:
        return True
    some = (file.get(name) for name in itertools.islice(file, 50))
    return any(isinstance(item, h5py.Dataset) and "DIMENSION_LIST" in item.attrs for item in some)


def _is_binary_stl(path: Path, head: bytes) -> bool:
    """A header of any 80 bytes, the number of triangles, and 50 bytes for each."""
    count = int.from_bytes(head[80:84], "little")
    return len(head) >= 84 and count > 0 and path.stat().st_size == 84 + 50 * count


def _mesh_kind(head: bytes) -> str:
    if head.startswith(b"# vtk DataFile"):
        return "vtk"
    if head.startswith((b"<?xml", b"<VTKFile")) and b"<VTKFile" in head:
        return "vtu"
    if re.match(rb"ply\r?\nformat |ply\r?\ncomment ", head):
        return "ply"
    if b'"file-series-version"' in head:
        return "series"
    if re.match(rb"(?:\s*#[^\n]*\n)*\s*FORMAT\s+type:\s*ensight", head, re.IGNORECASE):
        return "ensight"
    if re.match(rb"\s*solid\b", head) and re.search(rb"\bfacet\s+normal\b", head):
        return "stl"
    # OBJ has no signature: lines of its keywords, among the first of them a vertex
    lines = [line.split() for line in head.splitlines()[:-1] if not line.lstrip().startswith(b"#")]
    keywords = {words[0] for words in lines if words}
    return "obj" if b"v" in keywords and keywords <= _OBJ_KEYWORDS else "unknown"


def _inside_zip(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.namelist())
    except ERRORS as error:
        raise UpsDataError(
            f"{path}: cannot be read as a zip archive (.npz, .pt), it is truncated or damaged: "
            f"download or copy it again ({error})"
        ) from error
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return Content("torch")
    if names and all(name.endswith(".npy") for name in names):
        return Content("npz", tuple(name.removesuffix(".npy") for name in names))
    return Content("zip", names)
