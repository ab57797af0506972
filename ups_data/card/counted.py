"""Which points count, and how large the cells of points are."""

from collections.abc import Iterator

from ups_data.card.parts import Cell, Foreign, Table
from ups_data.schema import Manifest
from ups_data.schema.measures import cells_of, size_field


def masks_table(manifest: Manifest) -> Table:
    """How many points of a frame count in every split, of sets of which some do not; no rows if all do."""
    head = [*(["set"] if manifest.sets else []), "split", "points that count", "of", "which", "the others hold"]
    rows: list[list[Cell]] = []
    for name in manifest.set_names:
        mask = manifest.mask(name)
        for split in manifest.splits if mask is not None else ():
            if not manifest.split(split).shards:
                continue
            assert mask is not None
            fewest, most = manifest.counted_of(split, name)
            of = manifest.points_of(split, name)
            moves = "all" if (fewest == of).all() else "change by frame" if mask.moving else "constant"
            held = "their own values" if mask.fill is None else f"{mask.fill:g}"
            first: list[Cell] = [] if name is None else [Foreign(name)]
            counts = _range(int(fewest.min()), int(most.max())), _range(int(of.min()), int(of.max()))
            rows.append([*first, Foreign(split), *counts, moves, held])
    return Table(head, rows)


def measure_lines(manifest: Manifest) -> Iterator[list[Cell]]:
    """Of each set of points, what a mean over the domain weights by."""
    for name in manifest.set_names:
        of_set: list[Cell] = [] if name is None else [" of ", Foreign(name)]
        field = size_field(manifest, name)
        if field is not None:
            yield ["Sizes of the cells", *of_set, ": the field ", Foreign(field), "."]
        elif manifest.grid is None:
            yield ["Sizes of the cells", *of_set, ": not known; means are over points."]
        elif cells_of(manifest) is None:
            yield ["Sizes of the cells: all are equal."]
        else:
            yield ["Sizes of the cells: they differ, and follow from the axes."]


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
