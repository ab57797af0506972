"""`export_dataset`: a dataset's trajectories in a format that others read."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Literal, get_args

from ups_data.errors import UpsDataError
from ups_data.exporting.aside import RESULT, set_aside
from ups_data.exporting.netcdf import check_netcdf, write_netcdf
from ups_data.exporting.noether import NoetherStore, check_noether
from ups_data.exporting.trajectories import trajectories_of
from ups_data.exporting.vtk import write_vtk
from ups_data.exporting.well import check_well, write_statistics, write_well
from ups_data.schema import Manifest
from ups_data.store.root import Root, open_store
from ups_data.trajectory import Trajectory

Format = Literal["vtk", "netcdf", "the_well", "noether"]
FORMATS: tuple[str, ...] = get_args(Format)


@dataclass(frozen=True)
class Exported:
    """What an export wrote: trajectories, files, and their bytes together."""

    trajectories: int
    files: int
    bytes: int


def export_dataset(
    root: Root,
    out: str | Path,
    to: str,
    *,
    splits: tuple[str, ...] = (),
    name: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write a dataset's trajectories into a folder; values are those of the dataset.

        export_dataset("data/run", "for-xarray", "netcdf")

    A frame of a set of points is in memory at a time. Files are written aside, and moved into their place once all of
    them are whole.

    Args:
        root: the dataset's folder, URL or store.
        out: a folder, new or empty.
        to: "vtk": `SPLIT/KEY.pvd` with a file for each frame; "netcdf": `SPLIT/KEY.nc`; "the_well": grids, as
            `data/SPLIT/NAME-00.hdf5`; "noether": points, as a store of shuffled zarr arrays.
        splits: which; (): all.
        name: of the dataset, as The Well and noether have one; None: the last part of `out`.
        progress: called with (trajectories done, number of trajectories).

    Raises:
        UpsDataError: an unknown format or split, a format that has no place for this dataset, a package that is
            missing, `out` holds something, or a shard is damaged.
    """
    if to not in FORMATS:
        raise UpsDataError(f"export to {to!r}: choose one of {', '.join(FORMATS)}")
    store = open_store(root)
    manifest = Manifest.load(store)
    chosen = splits or tuple(manifest.splits)
    total, done = sum(manifest.split(split).num_trajectories for split in chosen), 0
    if check := {"netcdf": check_netcdf, "the_well": check_well, "noether": check_noether}.get(to):
        check(manifest)

    def counted(split: str) -> Iterator[Trajectory]:
        nonlocal done
        for trajectory in trajectories_of(store, manifest, split):
            yield trajectory
            done += 1
            progress(done, total)

    out = Path(out)
    called = name or Path(realpath(out)).name
    if not re.fullmatch(r"[^/\\]{1,100}", called) or not called.isprintable():
        raise UpsDataError(f"the name {called!r} becomes a part of files' names: give one of 1 to 100 characters, no /")
    with set_aside(out) as aside:
        _write(aside / RESULT, manifest, to, {split: counted(split) for split in chosen}, called)
    files = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return Exported(done, len(files), sum(files))


def _write(folder: Path, manifest: Manifest, to: str, splits: dict[str, Iterator[Trajectory]], name: str) -> None:
    if to == "noether":
        store = NoetherStore(folder, name, manifest)
        for split, trajectories in splits.items():
            store.add(split, trajectories)
        store.close()
        return
    folder.mkdir()
    for split, trajectories in splits.items():
        if to == "the_well":
            write_well(folder, name, split, trajectories)
            continue
        (folder / split).mkdir()
        for trajectory in trajectories:
            if to == "vtk":
                write_vtk(folder / split, trajectory, lattice=True)
            else:
                write_netcdf(folder / split, trajectory)
    if to == "the_well":
        write_statistics(folder, manifest)
