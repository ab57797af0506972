"""Shows what a dataset holds: fields, shapes, statistics, splits; draws a sample with its query points."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ups_data.cli.errors import run
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.store.shard import Shard

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    plot: Annotated[Path | None, typer.Option(help="Draw one sample into this PNG.")] = None,
    split: Annotated[str, typer.Option(help="Split to draw from.")] = "train",
    ratio: Annotated[float, typer.Option(help="Queries ÷ points, for the drawing.")] = 0.05,
    mode: Annotated[str, typer.Option(help="Sampling mode, for the drawing.")] = "stratified",
    number: Annotated[int, typer.Option(help="Which sample of the split is drawn.")] = 10,
) -> None:
    manifest = Manifest.load(root)
    console = Console()
    console.print(geometry(manifest))
    console.print(splits_table(manifest), fields_table(manifest), statistics_table(manifest))
    if plot is not None:
        from ups_data.cli.pictures import plot_sample

        plot_sample(root, plot, split=split, sampling=QuerySampling(ratio=ratio, mode=mode), number=number)
        console.print(f"drawn: {plot}")
        for picture in draw_blocks(root, manifest, split, plot):
            console.print(f"drawn: {picture}")


def draw_blocks(root: Path, manifest: Manifest, split: str, plot: Path) -> Iterator[Path]:
    """Beside the sample's picture, for each set of points: a block of the first trajectory over its domain."""
    from ups_data.cli.pictures import plot_block

    shard = Shard(root, manifest, manifest.split(split).shards[0])
    for name in manifest.set_names:
        blocks = shard.geometry(name, 0)
        fields = [f for f in manifest.fields if f.point_set == name]
        if blocks is None or len(blocks) == 1 or not fields:
            continue
        shape = None if manifest.grid is None else manifest.grid.shape
        coords = shard.positions(name, 0) if manifest.grid is None else manifest.grid.coords()
        picture = plot.with_name(f"{plot.stem}-{'' if name is None else f'{name}-'}block.png")
        frames = {f.name: shard.frame(f.name, 0, shard.steps[0] // 2)[:, 0] for f in fields}
        plot_block(frames, coords, shape, blocks, picture)
        yield picture


def geometry(manifest: Manifest) -> str:
    """The points of a frame, in one line."""
    if manifest.grid is None:
        return "; ".join([*(point_set(manifest, name) for name in manifest.set_names), f"codec {manifest.codec}"])
    axes = ", ".join(
        f"{a.name} [{a.physical[0]:g}, {a.physical[-1]:g}]{'' if not a.periodic else ' periodic'}"
        for a in manifest.grid.axes
    )
    stored = "" if manifest.blocks == 1 else f"; {manifest.blocks} blocks of {manifest.block_points():,} points"
    return f"grid {' × '.join(map(str, manifest.grid.shape))}; axes {axes}{stored}; codec {manifest.codec}"


def point_set(manifest: Manifest, name: str | None) -> str:
    """A set of points, in one line."""
    spec = manifest.point_set(name)
    counts = [
        n for split in manifest.splits for n in (manifest.min_points(split, name), manifest.max_points(split, name))
    ]
    number = f"{counts[0]:,}" if spec.num_points is not None else f"{min(counts):,} to {max(counts):,}"
    moving = "moving " if spec.moving else ""
    stored = "" if manifest.blocks == 1 else f", in blocks of {spec.block_points:,}"
    return f"{'' if name is None else f'{name}: '}{number} {moving}points in {spec.dim} dimensions{stored}"


def splits_table(manifest: Manifest) -> Table:
    table = Table("split", "shards", "trajectories", "frames", "MB", title="splits")
    for name, split in manifest.splits.items():
        rows, size = sum(s.rows for s in split.shards), sum(s.bytes for s in split.shards)
        cells = (len(split.shards), split.num_trajectories, rows, f"{size / 1e6:.1f}")
        table.add_row(name, *(f"{c:,}" if isinstance(c, int) else c for c in cells))
    return table


def fields_table(manifest: Manifest) -> Table:
    table = Table("field", "units", "channels", "stored", "frames of a chunk", title="fields")
    for f in manifest.fields:
        stored = f.dtype if f.dtype == f.source_dtype else f"{f.dtype}, was {f.source_dtype}"
        name = f.name + (" (static)" if f.static else "")
        table.add_row(name, escape(f.units or ""), str(f.channels), stored, str(f.chunk_rows))
    return table


def statistics_table(manifest: Manifest) -> Table:
    table = Table("field", "split", "mean", "std", "min", "max", "step rms", "NaN/Inf", title="statistics")
    for field in manifest.fields:
        for c in range(field.channels):
            for split, spec in manifest.splits.items():
                s = spec.statistics[field.name]
                numbers = [f"{v[c]:.3g}" for v in (s.mean, s.std, s.min, s.max)]
                steps = "" if s.delta_rms is None else f"{s.delta_rms[c]:.3g}"
                name = field.name if field.channels == 1 else f"{field.name}[{c}]"
                table.add_row(name, split, *numbers, steps, str(s.nonfinite))
        table.add_section()
    return table


if __name__ == "__main__":
    run(app)
