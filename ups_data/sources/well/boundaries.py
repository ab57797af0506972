"""Boundary conditions of The Well: which axes are periodic, and what of them is kept."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from ups_data.sources.hdf5.files import whole_dataset
from ups_data.sources.well.variables import flag


def texts(values: object) -> list[str]:
    """An attribute of names: a list of text or bytes, or a single one."""
    return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in np.atleast_1d(np.asarray(values))]


def periodic_axes(path: Path, file: h5py.File, dims: Sequence[str]) -> dict[str, bool]:
    """axis → whether it is periodic, of those for which the file has a boundary condition.

    A condition holds at an axis if its mask marks any point of the axis' first or last layer.
    """
    found: dict[str, bool] = {}
    for name, condition in _conditions(file).items():
        kind = " ".join(texts(condition.attrs.get("bc_type", ""))).upper()
        along = texts(condition.attrs.get("associated_dims", []))
        mask = whole_dataset(path, condition, "mask") if "mask" in condition and not _varies(condition) else None
        for axis, dim in enumerate(along):
            if dim not in dims:
                continue
            ends = True
            if mask is not None and mask.ndim == len(along) and mask.shape[axis]:
                ends = bool(np.take(mask, [0, -1], axis).any())
            if ends or "PERIODIC" in name.upper():
                found[dim] = found.get(dim, False) or kind == "PERIODIC"
    return found


def left_out_of(file: h5py.File) -> dict[str, str]:
    """What of the boundary conditions is no field: name → why."""
    left: dict[str, str] = {}
    for name, condition in _conditions(file).items():
        kind = " ".join(texts(condition.attrs.get("bc_type", "no type"))).lower()
        dims = ", ".join(texts(condition.attrs.get("associated_dims", [])))
        for item in condition:
            left[f"boundary_conditions.{name}.{item}"] = (
                f"{kind} boundary of {dims}; of boundaries, which axes are periodic is kept"
            )
    return left


def _conditions(file: h5py.File) -> dict[str, h5py.Group]:
    group = file.get("boundary_conditions")
    items = group.items() if isinstance(group, h5py.Group) else ()
    return {name: item for name, item in items if isinstance(item, h5py.Group)}


def _varies(condition: h5py.Group) -> bool:
    return flag(condition, "sample_varying") or flag(condition, "time_varying")
