"""Packs: fields of one kind, and the places of their points, side by side as channels of one stored array.

A store is paid by the request: a draw of a block then takes one, not one for each field, its coordinates and its index.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ups_data.schema.specs import Count, FieldSpec, Model, Name

# Numbers of points are exact in float32 up to here.
MOST_POINTS = 2**24


class PackSpec(Model):
    """One array, `fields/<name>`. Its channels: coordinates, then the numbers of the points, then the fields' channels.

    Attributes:
        fields: those that it holds, of one dtype and one set of points, all static or none of them.
        chunk_rows: rows of a stored chunk; the fields' own `chunk_rows` are what they would have had alone.
        coords: the coordinates of the set of points are stored beside the fields, in every row.
        index: so are the numbers of the points in the slots, -1 where a slot is empty.
    """

    fields: Annotated[list[Name], Field(min_length=1)]
    chunk_rows: Count
    coords: bool = False
    index: bool = False


def check_packs(packs: dict[str, PackSpec], fields: Sequence[FieldSpec], *, grid: bool) -> None:
    """See that packs are of these fields.

    Raises:
        ValueError: they are not.
    """
    specs = {spec.name: spec for spec in fields}
    packed = [name for pack in packs.values() for name in pack.fields]
    if not set(packed) <= set(specs) or len(set(packed)) < len(packed):
        raise ValueError(f"packs hold {packed}, fields are {list(specs)}")
    for name, pack in packs.items():
        kinds = {(specs[f].point_set, specs[f].static, specs[f].dtype) for f in pack.fields}
        _, static, dtype = next(iter(kinds))
        if len(kinds) > 1 or name in specs:
            raise ValueError(f"pack {name!r} holds fields of several kinds, or is named like one")
        if (pack.coords or pack.index) and (grid or static or dtype != "float32"):
            raise ValueError(f"pack {name!r} cannot hold the places of points")


def channel_names(pack: PackSpec, fields: Sequence[FieldSpec], dim: int) -> list[str]:
    """The names of a pack's channels: `x`, `y`, `point`, `pressure`, `velocity_0`, ….

    Args:
        fields: of the dataset.
        dim: components of a coordinate.
    """
    names = [*("xyz"[:dim] if pack.coords else ""), *(["point"] if pack.index else [])]
    for spec in _members(pack, fields):
        names += [spec.name] if spec.channels == 1 else [f"{spec.name}_{c}" for c in range(spec.channels)]
    return names


def first_channels(pack: PackSpec, fields: Sequence[FieldSpec], dim: int) -> dict[str, int]:
    """Field → its first channel in the pack."""
    places, place = {}, (dim if pack.coords else 0) + pack.index
    for spec in _members(pack, fields):
        places[spec.name], place = place, place + spec.channels
    return places


def _members(pack: PackSpec, fields: Sequence[FieldSpec]) -> list[FieldSpec]:
    specs = {spec.name: spec for spec in fields}
    return [specs[name] for name in pack.fields]
