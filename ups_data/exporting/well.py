"""The Well's layout: `data/SPLIT/NAME-00.hdf5` with fields by the order of their tensor, beside `stats.yaml`.

Layout: https://github.com/PolymathicAI/the_well, docs/data_format.md, and its reader `the_well.data.WellDataset`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from ups_data.errors import UpsDataError
from ups_data.schema import FieldStatistics, Manifest
from ups_data.trajectory import Axis, Trajectory

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
STATISTICS = ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")
MOST = 64  # trajectories of a file


def check_well(manifest: Manifest) -> None:
    """Refuse to begin what the layout has no place for.

    Raises:
        UpsDataError: the dataset has no grid, or two things of one name.
    """
    if manifest.grid is None:
        raise UpsDataError("the_well: holds grids, and this dataset is points: export it as vtk, netcdf or noether")
    dim = len(manifest.grid.axes)
    axes = ["time", *(axis.name for axis in manifest.grid.axes)]
    names = [stored for spec in manifest.fields for stored, _, _ in _parts(spec.name, spec.channels, dim)]
    names += manifest.params
    for held in (axes, names):
        twice = next((name for name in held if held.count(name) > 1), None)
        if twice is not None:
            raise UpsDataError(f"the_well: {twice!r} would be there twice: rename an axis, a field or a parameter")


def write_well(folder: Path, name: str, split: str, trajectories: Iterator[Trajectory]) -> None:
    """The files of a split, `folder/data/SPLIT/NAME-00.hdf5`, …: trajectories of as many frames each.

    A field of as many channels as there are axes is a vector, of their square a tensor; of one channel a scalar; of any
    other number a scalar for each, `FIELD_0`, ….

    Args:
        name: of the dataset.
    """
    target = folder / "data" / split
    target.mkdir(parents=True)
    for number, group in enumerate(_alike(trajectories)):
        _write_file(target / f"{name}-{number:02d}.hdf5", name, group)


def write_statistics(folder: Path, manifest: Manifest) -> None:
    """`stats.yaml`, of the training split."""
    assert manifest.grid is not None
    split = manifest.splits.get("train") or next(iter(manifest.splits.values()))
    found: dict[str, dict[str, Any]] = {key: {} for key in STATISTICS}
    dim = len(manifest.grid.shape)
    for spec in manifest.fields:
        for stored, channels, order in _parts(spec.name, spec.channels, dim):
            for key, values in _of_channels(split.statistics[spec.name], channels).items():
                found[key][stored] = np.reshape(values, (dim,) * order).tolist()
    with open(folder / "stats.yaml", "w") as file:
        yaml.safe_dump(found, file)


def _alike(trajectories: Iterator[Trajectory]) -> Iterator[list[Trajectory]]:
    """At most MOST in a row that have as many frames."""
    group: list[Trajectory] = []
    for trajectory in trajectories:
        if group and (len(group) == MOST or _frames(trajectory) != _frames(group[0])):
            yield group
            group = []
        group.append(trajectory)
    if group:
        yield group


def _frames(trajectory: Trajectory) -> int:
    return len(trajectory.time) if trajectory.time is not None else 0


def _write_file(path: Path, name: str, group: Sequence[Trajectory]) -> None:
    import h5py  # late: an export to another format does without

    first = group[0]
    axes = first.axes or ()
    with h5py.File(path, "w") as file:
        file.attrs["dataset_name"] = name
        file.attrs["grid_type"] = "cartesian"
        file.attrs["n_spatial_dims"] = len(axes)
        file.attrs["n_trajectories"] = len(group)
        file.attrs["simulation_parameters"] = list(first.params)
        _write_dimensions(file, axes, group)
        _write_boundaries(file, axes)
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = list(first.params)
        for param in first.params:
            values = np.array([trajectory.params[param] for trajectory in group])
            file.attrs[param] = values[0]
            _flags(scalars.create_dataset(param, data=values), in_time=False)
        groups = [file.create_group(order) for order in ORDERS]
        for field, stored, channels, order, in_time in _fields(first, len(axes)):
            _write_field(groups[order], group, field, stored, channels, order, in_time)
        for order, held in enumerate(groups):
            held.attrs["field_names"] = [f[1] for f in _fields(first, len(axes)) if f[3] == order]


def _write_dimensions(file: Any, axes: Sequence[Axis], group: Sequence[Trajectory]) -> None:
    dimensions = file.create_group("dimensions")
    dimensions.attrs["spatial_dims"] = [axis.name for axis in axes]
    for axis in axes:
        held = dimensions.create_dataset(axis.name, data=np.asarray(axis.coordinates, np.float64))
        held.attrs["sample_varying"], held.attrs["time_varying"] = False, False
        if axis.units is not None:
            held.attrs["units"] = axis.units
    times = np.stack([np.asarray(trajectory.time, np.float64) for trajectory in group])
    same = bool((times == times[0]).all())
    held = dimensions.create_dataset("time", data=times[0] if same else times)
    held.attrs["sample_varying"], held.attrs["time_varying"] = not same, True
    if group[0].time_units is not None:
        held.attrs["units"] = group[0].time_units


def _write_boundaries(file: Any, axes: Sequence[Axis]) -> None:
    """Which axes are periodic; what lies at the ends of the others, a dataset does not know."""
    conditions = file.create_group("boundary_conditions")
    for axis in axes:
        if not axis.periodic:
            continue
        condition = conditions.create_group(f"{axis.name}_periodic")
        condition.attrs["associated_dims"], condition.attrs["associated_fields"] = [axis.name], []
        condition.attrs["bc_type"] = "PERIODIC"
        condition.attrs["sample_varying"], condition.attrs["time_varying"] = False, False
        mask = np.zeros(len(axis.coordinates), bool)
        mask[[0, -1]] = True
        condition.create_dataset("mask", data=mask)


def _write_field(
    held: Any, group: Sequence[Trajectory], field: str, stored: str, channels: slice, order: int, in_time: bool
) -> None:
    """One dataset, `(B, [T,] *grid, *components)`, a frame at a time."""
    first = group[0]
    given = first.fields[field] if in_time else first.static[field]
    grid = given.shape[1:-1] if in_time else given.shape[:-1]
    components = (len(grid),) * order
    lead = (len(group), given.shape[0]) if in_time else (len(group),)
    dtype = np.float32
    # chunks of a frame: they are read one by one
    chunks = (*(1 for _ in lead), *grid, *components)
    dataset = held.create_dataset(stored, (*lead, *grid, *components), dtype, chunks=chunks)
    _flags(dataset, in_time=in_time)
    dataset.attrs["dim_varying"] = [True] * len(grid)
    if order == 2:
        dataset.attrs["symmetric"], dataset.attrs["antisymmetric"] = False, False
    if field in first.units:
        dataset.attrs["units"] = first.units[field]
    for number, trajectory in enumerate(group):
        values = trajectory.fields[field] if in_time else trajectory.static[field]
        for frame in range(given.shape[0] if in_time else 1):
            row = np.asarray(values[frame] if in_time else values[:], dtype)[..., channels]
            dataset[(number, frame) if in_time else number] = row.reshape(*grid, *components)


def _flags(dataset: Any, *, in_time: bool) -> None:
    dataset.attrs["sample_varying"], dataset.attrs["time_varying"] = True, in_time


def _fields(trajectory: Trajectory, dim: int) -> Iterator[tuple[str, str, slice, int, bool]]:
    """Field, name in the file, channels, order of its tensor, whether it changes in time."""
    for given, in_time in ((trajectory.fields, True), (trajectory.static, False)):
        for field, values in given.items():
            for stored, channels, order in _parts(field, values.shape[-1], dim):
                yield field, stored, channels, order, in_time


def _parts(field: str, channels: int, dim: int) -> list[tuple[str, slice, int]]:
    """Name in the file, channels, order of the tensor."""
    if channels == 1:
        return [(field, slice(0, 1), 0)]
    if channels in (dim, dim * dim):
        return [(field, slice(None), 1 if channels == dim else 2)]
    return [(f"{field}_{channel}", slice(channel, channel + 1), 0) for channel in range(channels)]


def _of_channels(statistics: FieldStatistics, channels: slice) -> Mapping[str, list[float]]:
    given = {
        "mean": statistics.mean,
        "std": statistics.std,
        "rms": statistics.rms,
        "mean_delta": statistics.delta_mean,
        "std_delta": statistics.delta_std,
        "rms_delta": statistics.delta_rms,
    }
    return {key: values[channels] for key, values in given.items() if values is not None}
