"""How well drawn points stand for all of them: the variance of a mean, relative to as many points drawn uniformly.

The quantity is the squared gradient on grids and the squared field on points. Below 1, a point tells more than one
drawn at random; at 0.5 half of the points suffice.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

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
    from ups_data.sampling import QuerySampling
    from ups_data.sampling.efficiency import relative_variance
    from ups_data.schema import Manifest
    from ups_data.shards.shard import Shard

    manifest = Manifest.load(root)
    name = manifest.fields[0].name if field is None else field
    modes = ["uniform", "stratified", *(["blocks"] if manifest.blocks > 1 else [])]
    places = [
        (Shard(root, manifest, spec), number, steps)
        for spec in manifest.split(split).shards
        for number, steps in enumerate(spec.steps)
    ][:frames]
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    for shard, number, steps in track(places, "frames", console=Console(stderr=True), transient=True):
        domain, quantity = frame_of(shard, manifest, name, number, steps + step if step < 0 else step)
        for mode in modes:
            sampling = QuerySampling(ratio=ratio, mode=mode)
            found[mode].append(relative_variance(domain, sampling, quantity, draws, seed=0))
    table = Table(title=f"{root}, {name}: variance of a mean at ratio {ratio:.3g}, {len(places)} frames")
    for column in ("mode", "mean", "least", "most"):
        table.add_column(column, justify="left" if column == "mode" else "right")
    for mode, values in found.items():
        table.add_row(mode, *(f"{value:.2f}" for value in (np.mean(values), min(values), max(values))))
    Console().print(table)


def frame_of(shard, manifest, name, trajectory, step):  # type: ignore[no-untyped-def]
    """The domain of a frame, and the quantity per point, (N,)."""
    from ups_data.sampling import Domain
    from ups_data.sampling.metrics import squared_gradient

    spec = manifest.field(name)
    values = shard.frame(name, trajectory, step).astype(np.float64)
    blocks = shard.geometry(spec.point_set, trajectory) if manifest.blocks > 1 else None
    if manifest.grid is None:
        coords = shard.positions(spec.point_set, trajectory, step)
        return Domain(len(values), coords=coords, blocks=blocks), np.square(values).sum(1)
    shape, periodic = manifest.grid.shape, tuple(bool(axis.periodic) for axis in manifest.grid.axes)
    scaled = (values / values.std(0)).reshape(*shape, -1)
    gradient = sum(squared_gradient(scaled[..., c], periodic) for c in range(scaled.shape[-1]))
    return Domain(len(values), shape, blocks=blocks, periodic=periodic), np.asarray(gradient).ravel()


if __name__ == "__main__":
    from _cli import run

    run(app)
