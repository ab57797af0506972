"""What a dataset holds: its points, splits, fields and statistics."""

from ups_data.cli.tables.sheet import Sheet
from ups_data.errors import shown
from ups_data.schema import Manifest


def geometry(manifest: Manifest) -> str:
    """The points of a frame, in one line for a rich console."""
    if manifest.grid is None:
        sets = [point_set(manifest, name) + masked(manifest, name) for name in manifest.set_names]
        return "; ".join([*sets, f"codec {shown(manifest.codec)}"])
    axes = ", ".join(
        f"{shown(a.name)} {shown(f'[{a.physical[0]:g}, {a.physical[-1]:g}]')}{' periodic' if a.periodic else ''}"
        for a in manifest.grid.axes
    )
    stored = "" if manifest.blocks == 1 else f"; {manifest.blocks} blocks of {manifest.block_points():,} points"
    shape = " × ".join(map(str, manifest.grid.shape))
    return f"grid {shape}{masked(manifest, None)}; axes {axes}{stored}; codec {shown(manifest.codec)}"


def masked(manifest: Manifest, set_name: str | None) -> str:
    """How many points of a frame count, if some do not."""
    mask = manifest.mask(set_name)
    if mask is None:
        return ""
    counts = [n for split in manifest.splits for of_split in manifest.counted_of(split, set_name) for n in of_split]
    number = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    filled = "values kept" if mask.fill is None else f"{mask.fill:g} elsewhere"
    return f", of which {number} count ({'moving, ' if mask.moving else ''}{filled})"


def point_set(manifest: Manifest, name: str | None) -> str:
    """A set of points, in one line for a rich console."""
    spec = manifest.point_set(name)
    counts = [
        n for split in manifest.splits for n in (manifest.min_points(split, name), manifest.max_points(split, name))
    ]
    number = f"{counts[0]:,}" if spec.num_points is not None else f"{min(counts):,} to {max(counts):,}"
    moving = "moving " if spec.moving else ""
    stored = "" if manifest.blocks == 1 else f", in blocks of {spec.block_points:,}"
    return f"{'' if name is None else f'{shown(name)}: '}{number} {moving}points in {spec.dim} dimensions{stored}"


def splits_table(manifest: Manifest) -> Sheet:
    """Sizes of every split."""
    table = Sheet("split", "shards", "trajectories", "frames", "MB", title="splits", folds=("split",))
    for name, split in manifest.splits.items():
        rows, size = sum(s.rows for s in split.shards), sum(s.bytes for s in split.shards)
        counts = (len(split.shards), split.num_trajectories, rows)
        table.add_row(name, *(f"{c:,}" for c in counts), f"{size / 1e6:.1f}")
    return table


def fields_table(manifest: Manifest) -> Sheet:
    """How every field is stored."""
    headers = ("field", "units", "channels", "stored", "frames per chunk")
    table = Sheet(*headers, title="fields", text=("stored",), folds=("field", "units"))
    for f in manifest.fields:
        stored = f.dtype if f.dtype == f.source_dtype else f"{f.dtype}, was {f.source_dtype}"
        name = f.name + (" (static)" if f.static else "")
        table.add_row(name, f.units or "", f.channels, stored, f.chunk_rows)
    return table


def statistics_table(manifest: Manifest) -> Sheet:
    """Mean, standard deviation and range of every channel in every split."""
    headers = ("field", "split", "mean", "std", "min", "max", "step rms", "NaN/Inf")
    table = Sheet(*headers, title="statistics", folds=("field", "split"))
    for field in manifest.fields:
        for c in range(field.channels):
            for split, spec in manifest.splits.items():
                s = spec.statistics[field.name]
                numbers = [f"{v[c]:.3g}" for v in (s.mean, s.std, s.min, s.max)]
                steps = "" if s.delta_rms is None else f"{s.delta_rms[c]:.3g}"
                name = field.name if field.channels == 1 else f"{field.name}[{c}]"
                table.add_row(name, split, *numbers, steps, s.nonfinite)
        table.add_section()
    return table
