"""How well drawn points stand for all of them: the variance of a mean, relative to as many points drawn uniformly.

The quantity is the squared gradient on grids and the squared field on points; of `importance:variance`, which prefers
tiles by that, the squared deviation from the tile's mean. Below 1, a point tells more than one drawn at random; at 0.5
half of the points suffice.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    root: Annotated[Path, typer.Argument(help="A dataset of make_shards.py; made with --blocks for the mode blocks.")],
    split: Annotated[str, typer.Option(help="Of the dataset.")] = "train",
    field: Annotated[str | None, typer.Option(help="Default: the first one.")] = None,
    ratio: Annotated[float, typer.Option(help="Queries ÷ points.")] = 1 / 16,
    step: Annotated[int, typer.Option(help="Frame of each trajectory; below 0: from its end.")] = -1,
    frames: Annotated[int, typer.Option(min=1, help="Trajectories to look at, at most.")] = 12,
    draws: Annotated[int, typer.Option(min=2, help="Of each mode and frame.")] = 500,
) -> None:
    from benchmarks.sampling.efficiency import relative_variance
    from ups_data.cli.tables.sheet import Sheet
    from ups_data.points.activity import tile_importance
    from ups_data.points.tiles import num_tiles, tiles_in
    from ups_data.sampling import QuerySampling
    from ups_data.schema import Manifest
    from ups_data.store.shard import Shard

    manifest = Manifest.load(root)
    name = manifest.fields[0].name if field is None else field
    metrics = ["gradient", "variance"] if manifest.grid is not None else ["variance"]
    modes = ["uniform", "stratified", *(["blocks"] if manifest.blocks > 1 else [])]
    modes += [f"importance:{metric}" for metric in metrics]
    places = [
        (Shard(root, manifest, spec), number, steps)
        for spec in manifest.split(split).shards
        for number, steps in enumerate(spec.steps)
    ][:frames]
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    for shard, number, steps in track(places, "frames", console=Console(stderr=True), transient=True):
        domain, values, quantity = frame_of(shard, manifest, name, number, steps + step if step < 0 else step)
        tiles = tiles_in(domain, num_tiles(domain.num_points))
        for mode in modes:
            kind, _, metric = mode.partition(":")
            sampling = QuerySampling(ratio=ratio, mode=kind)
            importance = tile_importance(metric, values, domain, tiles) if metric else None
            wanted = deviation(values, tiles) if metric == "variance" else quantity
            found[mode].append(relative_variance(domain, sampling, wanted, draws, 0, importance))
    title = f"{root}, {name}: variance of a mean at ratio {ratio:.3g}, {len(places)} frames"
    table = Sheet("mode", "mean", "least", "most", title=title, text=("mode",))
    for mode, values in found.items():
        table.add_row(mode, *(f"{value:.2f}" for value in (np.mean(values), min(values), max(values))))
    Console().print(table)


def frame_of(shard, manifest, name, trajectory, step):  # type: ignore[no-untyped-def]
    """The domain of a frame, its values (N, C), and the quantity per point, (N,)."""
    from ups_data.points.activity import squared_gradient
    from ups_data.points.domain import Domain

    spec = manifest.field(name)
    values = shard.frame(name, trajectory, step).astype(np.float64)
    blocks = shard.geometry(spec.point_set, trajectory) if manifest.blocks > 1 else None
    if manifest.grid is None:
        coords = shard.positions(spec.point_set, trajectory, step)
        return Domain(len(values), coords=coords, blocks=blocks), values, np.square(values).sum(1)
    shape, periodic = manifest.grid.shape, tuple(bool(axis.periodic) for axis in manifest.grid.axes)
    scaled = (values / values.std(0)).reshape(*shape, -1)
    gradient = sum(squared_gradient(scaled[..., c], periodic) for c in range(scaled.shape[-1]))
    return Domain(len(values), shape, blocks=blocks, periodic=periodic), values, np.asarray(gradient).ravel()


def deviation(values, tiles):  # type: ignore[no-untyped-def]
    """(N,): squared deviation from the tile's mean, over channels in units of their standard deviation."""
    scaled = values / values.std(0)
    return np.square(scaled - tiles.mean(scaled)[tiles.of_point]).sum(1)


if __name__ == "__main__":
    from ups_data.cli.errors import run

    run(app)
