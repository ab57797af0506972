"""Which fields are stored side by side: pure, from what a layout says of them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import FieldSpec, PointsSpec, limits
from ups_data.schema.packs import MOST_POINTS, PackSpec


class Sizes(Protocol):
    """What of a layout decides."""

    blocks: int
    points: dict[str | None, PointsSpec]

    def block_points(self, set_name: str | None) -> int:
        """Slots of a block."""
        ...

    def chunk_rows(self, block_bytes: int, steps: int) -> int:
        """Rows of a chunk, of blocks of so many bytes."""
        ...


def packs_of(specs: Sequence[FieldSpec], sizes: Sizes, steps: int) -> dict[str, PackSpec]:
    """A pack for all fields of one set of points and one dtype, static ones and others apart, where it holds more than
    one thing. Those that change in time, in float32, have the places of their points beside them.

    Args:
        steps: frames of the first trajectory.

    Raises:
        UpsDataError: a block of all of them is larger than a chunk may be.
    """
    kinds: dict[tuple[str | None, bool, str], list[FieldSpec]] = {}
    for spec in specs:
        kinds.setdefault((spec.point_set, spec.static, spec.dtype), []).append(spec)
    packs: dict[str, PackSpec] = {}
    for (set_name, static, dtype), fields in kinds.items():
        points = None if static or dtype != "float32" else sizes.points.get(set_name)
        index = points is not None and sizes.blocks > 1 and (points.num_points or 0) <= MOST_POINTS
        if len(fields) == 1 and points is None:
            continue
        channels = sum(f.channels for f in fields) + (0 if points is None else points.dim) + index
        block_bytes = sizes.block_points(set_name) * channels * np.dtype(dtype).itemsize
        if block_bytes > limits.CHUNK_BYTES:
            raise UpsDataError(
                f"blocks of {', '.join(f.name for f in fields)} together have {block_bytes / 2**30:.1f} GiB, a chunk "
                "holds less than 2 GiB: store them in more blocks (--blocks), or without --pack"
            )
        name = "_".join(["packed", *([set_name] if set_name else []), *(["static"] if static else []), dtype])
        while any(name == spec.name for spec in specs):
            name += "_"
        packs[name] = PackSpec(
            fields=[f.name for f in fields],
            chunk_rows=sizes.chunk_rows(block_bytes, 1 if static else steps),
            coords=points is not None,
            index=index,
        )
    return packs
