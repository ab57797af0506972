"""What a manifest says of its dataset, in tables."""

from collections.abc import Iterator, Sequence

import numpy as np

from ups_data.card.counted import masks_table, measure_lines
from ups_data.card.parts import Card, Cell, Foreign, Section, Table
from ups_data.schema import Manifest

MOST_ROWS = 200  # of a table: `ups-data inspect` shows all
AXIS_NAMES = ("x", "y", "z")


def card_of(manifest: Manifest) -> Card:
    """All of a card but its pictures, and how it is loaded."""
    path = manifest.source.get("path", "")
    name = path if " and " in path else path.rstrip("/").rpartition("/")[2]  # of a merged dataset it is two paths
    title: list[Cell] = ["Dataset of ", Foreign(name)] if name else ["A dataset"]
    sections = [points_section(manifest), fields_section(manifest), splits_section(manifest), origin_section(manifest)]
    return Card(title, lead(manifest), [section for section in sections if section.tables or section.text])


def lead(manifest: Manifest) -> list[Cell]:
    """What the dataset is."""
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    steps = [n for shard in shards for n in shard.steps]
    frames = f"{min(steps):,}" if min(steps) == max(steps) else f"{min(steps):,} to {max(steps):,}"
    size = sum(shard.bytes for shard in shards)
    words: list[Cell] = [
        f"{_counted(len(steps), 'trajectory', 'trajectories')} of {frames} frame{_s(max(steps))} with "
    ]
    for number, spec in enumerate(manifest.fields):
        words += [", " if number else "", Foreign(spec.name)]
        if number == 19 and len(manifest.fields) > 20:
            words.append(f" and {len(manifest.fields) - 20} further fields")
            break
    if manifest.grid is not None:
        words.append(f" on a grid of {' × '.join(f'{n:,}' for n in manifest.grid.shape)} points (")
        for number, axis in enumerate(manifest.grid.axes):
            words += [" × " if number else "", Foreign(axis.name)]
        words.append(")")
    else:
        words.append(" on points")
    return [*words, f"; {_megabytes(size)} MB."]


def points_section(manifest: Manifest) -> Section:
    """Where values are, and when."""
    lines = [_time(manifest), *measure_lines(manifest)]
    if manifest.grid is None:
        of_sets = ("set", "points", "component", "from", "to", "they are")
        return Section("Points and time", lines, [Table(of_sets, list(_sets(manifest))), masks_table(manifest)])
    head = ("axis of the arrays", "name", "points", "first", "last", "unit", "direction", "spacing", "ends")
    rows = []
    for number, axis in enumerate(manifest.grid.axes):
        values, steps = np.asarray(axis.physical), np.diff(axis.physical)
        even = len(steps) == 0 or np.ptp(steps) <= 1e-4 * np.abs(steps).max()
        direction = "" if len(steps) == 0 else "ascending" if steps[0] > 0 else "descending"
        spacing = "" if len(steps) == 0 else _number(abs(steps[0])) if even else "uneven"
        periodic = "" if axis.periodic is None else "periodic" if axis.periodic else "not periodic"
        ends = (_number(values[0]), _number(values[-1]))
        unit = Foreign(axis.units or "")
        rows.append((str(number), Foreign(axis.name), f"{len(values):,}", *ends, unit, direction, spacing, periodic))
    return Section("Axes and time", lines, [Table(head, rows), masks_table(manifest)])


def fields_section(manifest: Manifest) -> Section:
    """Every field, and its statistics in every split."""
    head = ["field", "unit", "channels", "in time", "stored as", "was"]
    sets = manifest.sets is not None
    rows: list[list[Cell]] = []
    for spec in manifest.fields:
        in_time = "static" if spec.static else "by frame"
        row: list[Cell] = [Foreign(spec.name), Foreign(spec.units or ""), str(spec.channels), in_time, spec.dtype]
        rows.append([*row, Foreign(spec.source_dtype), *([Foreign(spec.point_set or "")] if sets else [])])
    tables = [Table([*head, *(["set"] if sets else [])], rows), _statistics(manifest)]
    if manifest.params:
        head = ["parameter", "split", "mean", "std", "min", "max"]
        numbers: list[list[Cell]] = [
            [Foreign(name), Foreign(split), *map(_number, (s.mean, s.std, s.min, s.max))]
            for name in manifest.params
            for split, spec in manifest.splits.items()
            for s in [spec.params[name]]
        ]
        tables.append(Table(head, numbers[:MOST_ROWS], numbers=True))
    return Section("Fields", tables=tables)


def splits_section(manifest: Manifest) -> Section:
    """How much every split holds."""
    rows: list[list[Cell]] = [
        [
            Foreign(name),
            f"{split.num_trajectories:,}",
            f"{sum(shard.rows for shard in split.shards):,}",
            f"{len(split.shards):,}",
            _megabytes(sum(shard.bytes for shard in split.shards)),
        ]
        for name, split in manifest.splits.items()
    ]
    return Section("Splits", tables=[Table(["split", "trajectories", "frames", "shards", "MB"], rows, numbers=True)])


def origin_section(manifest: Manifest) -> Section:
    """Where it comes from, and what of that is not in it."""
    blocks = f"{manifest.blocks} block{_s(manifest.blocks)} a frame"
    rows: list[list[Cell]] = [[Foreign(name), Foreign(value)] for name, value in manifest.source.items()]
    rows.append(["stored as", f"zarr v3, codec {manifest.codec}, {blocks}"])
    tables = [Table(["", ""], rows)]
    missing: list[list[Cell]] = [
        [Foreign(name), Foreign(reason)] for name, reason in (manifest.not_stored or {}).items()
    ]
    tables.append(Table(["not stored", "why"], missing[:MOST_ROWS]))
    left: list[list[Cell]] = [[Foreign(t.key), Foreign(t.source), Foreign(t.reason)] for t in manifest.left_out or ()]
    tables.append(Table(["trajectory left out", "of", "why"], left[:MOST_ROWS]))
    lines: list[list[Cell]] = []
    if len(missing) > MOST_ROWS or len(left) > MOST_ROWS:
        count = f"{len(missing):,} variables and {len(left):,} trajectories"
        lines = [[f"{count} are not in the dataset; dataset.json lists them all."]]
    return Section("Where it comes from", lines, tables)


def _statistics(manifest: Manifest) -> Table:
    rows: list[list[Cell]] = []
    for spec in manifest.fields:
        for channel in range(spec.channels):
            for split, of_split in manifest.splits.items():
                s = of_split.statistics[spec.name]
                name = spec.name if spec.channels == 1 else f"{spec.name}[{channel}]"
                numbers = [_number(v[channel]) for v in (s.mean, s.std, s.min, s.max)]
                rows.append([Foreign(name), Foreign(split), *numbers, f"{s.nonfinite:,}"])
                if len(rows) == MOST_ROWS:
                    rows.append(["…", "", "", "", "", "", ""])
                    return Table(["statistics", "split", "mean", "std", "min", "max", "NaN or Inf"], rows, numbers=True)
    return Table(["statistics", "split", "mean", "std", "min", "max", "NaN or Inf"], rows, numbers=True)


def _time(manifest: Manifest) -> list[Cell]:
    steps = [split.time_step for split in manifest.splits.values() if split.time_step is not None]
    if not steps:
        return ["Each trajectory is one frame."]
    low, high = min(s.min for s in steps), max(s.max for s in steps)
    every = _number(low) if high - low <= 1e-6 * abs(high) else f"{_number(low)} to {_number(high)}"
    unit: list[Cell] = [" (", Foreign(manifest.time_units), ")"] if manifest.time_units else [" (no unit is known)"]
    return [f"From frame to frame: {every}", *unit, "."]


def _sets(manifest: Manifest) -> Iterator[Sequence[Cell]]:
    splits = [name for name, split in manifest.splits.items() if split.shards]
    for name in manifest.set_names:
        spec = manifest.point_set(name)
        counts = [n for s in splits for n in (manifest.min_points(s, name), manifest.max_points(s, name))]
        count = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        boxes = [split.coords[name or ""] for split in manifest.splits.values() if split.coords is not None]
        origin = spec.origin or [0.0] * spec.dim
        for component in range(spec.dim):
            ends = ["", ""]
            if boxes:
                low = min(box.min[component] for box in boxes) + origin[component]
                high = max(box.max[component] for box in boxes) + origin[component]
                ends = [_number(low), _number(high)]
            first = component == 0
            about = "moving" if spec.moving else "at rest"
            names = [Foreign(name or ""), count, AXIS_NAMES[component]] if first else ["", "", AXIS_NAMES[component]]
            yield [*names, *ends, about if first else ""]


def _number(value: float) -> str:
    return f"{value:.6g}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}" if size >= 1e6 else f"{size / 1e6:.2g}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
