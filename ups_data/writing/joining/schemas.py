"""Whether two datasets are of one schema, so that one manifest can list the shards of both."""

from typing import Any

import numpy as np

from ups_data.schema import AxisSpec, FieldSpec, GridSpec, Manifest, MaskSpec
from ups_data.writing.axes import same_axis


def difference(one: Manifest, other: Manifest) -> str | None:
    """The first thing in which two datasets differ, in words; None: their shards can lie in one.

    Units and numbers of points that only one of them says are no difference; neither are rows of chunks, which every
    array says for itself.
    """
    for told in (_geometry(one, other), _fields(one, other)):
        if told is not None:
            return told
    if one.params != other.params:
        return f"its parameters are {_listed(one.params)}, the others' are {_listed(other.params)}"
    if _packs(one) != _packs(other):
        return f"its packs are {_short(_packs(one))}, the others' are {_short(_packs(other))}"
    for name in ("codec", "blocks", "block_seed", "time_units", "importance"):
        mine, theirs = getattr(one, name) or None, getattr(other, name) or None
        if mine != theirs:
            return f"its {name.replace('_', ' ')} is {_short(mine)}, the others' is {_short(theirs)}"
    for name in set(one.masks or {}) & set(other.masks or {}):
        fills = [(manifest.masks or {})[name].fill for manifest in (one, other)]
        if fills[0] != fills[1]:
            return f"its points that do not count hold {fills[0]}, the others' hold {fills[1]}"
    return None


def joined_masks(one: Manifest, other: Manifest) -> dict[str, MaskSpec] | None:
    """The masks of both."""
    found = dict(one.masks or {})
    for name, mask in (other.masks or {}).items():
        moving = mask.moving or (name in found and found[name].moving)
        found[name] = mask.model_copy(update={"moving": moving})
    return found or None


def _fields(one: Manifest, other: Manifest) -> str | None:
    mine, theirs = {f.name: f for f in one.fields}, {f.name: f for f in other.fields}
    if list(mine) != list(theirs):
        return f"its fields are {_listed(list(mine))}, the others' are {_listed(list(theirs))}"
    return next((told for name in mine if (told := _field(mine[name], theirs[name])) is not None), None)


def _field(mine: FieldSpec, theirs: FieldSpec) -> str | None:
    for name in ("channels", "dtype", "static", "point_set"):
        if getattr(mine, name) != getattr(theirs, name):
            what = name.replace("_", " ")
            return f"{what} of {mine.name!r}: {getattr(mine, name)}, the others' {getattr(theirs, name)}"
    if mine.units and theirs.units and mine.units != theirs.units:
        return f"its {mine.name!r} is in {mine.units}, the others' is in {theirs.units}"
    return None


def _geometry(one: Manifest, other: Manifest) -> str | None:
    if (one.grid is None) != (other.grid is None) or one.set_names != other.set_names:
        return f"its geometry is {_kind(one)}, the others' is {_kind(other)}"
    if one.grid is not None and other.grid is not None:
        return _grids(one.grid, other.grid)
    for name in one.set_names:
        mine, theirs = one.point_set(name), other.point_set(name)
        called = "its points" if name is None else f"its points of {name!r}"
        for what in ("dim", "moving", "block_points", "origin"):
            if getattr(mine, what) != getattr(theirs, what):
                words = what.replace("_", " ")
                return f"{words} of {called}: {getattr(mine, what)}, the others' {getattr(theirs, what)}"
    return None


def _grids(mine: GridSpec, theirs: GridSpec) -> str | None:
    if mine.shape != theirs.shape:
        return f"its grid is {mine.shape}, the others' is {theirs.shape}"
    return next(
        (f"its axis {a.name!r} is another" for a, b in zip(mine.axes, theirs.axes, strict=True) if _axes(a, b)), None
    )


def _axes(mine: AxisSpec, theirs: AxisSpec) -> bool:
    """Whether they differ."""
    told = (mine.name, mine.periodic) != (theirs.name, theirs.periodic)
    units = bool(mine.units and theirs.units and mine.units != theirs.units)
    return told or units or not same_axis(np.array(mine.physical), np.array(theirs.physical))


def _packs(manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {name: pack.model_dump(exclude={"chunk_rows"}) for name, pack in (manifest.packs or {}).items()}


def _kind(manifest: Manifest) -> str:
    if manifest.grid is not None:
        return f"a grid of {manifest.grid.shape}"
    return "points" if manifest.sets is None else f"points of {_listed(list(manifest.sets))}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
