"""Pictures of what the pipeline hands out and of what a training run did."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ups_data.atomic import replacing
from ups_data.batch import QueryBatch, QuerySet, collate_block
from ups_data.loader.webdataset import QueryDataset
from ups_data.points.blocks import Blocks
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.store.root import open_store
from ups_data.store.shard import Shard


def plot_sample(root: str | Path, out: str | Path, *, split: str, sampling: QuerySampling, number: int = 0) -> None:
    """Draw sample `number` of a split (the last one, if there are fewer): the dense input, and the drawn query points
    over the target.
    """
    steps = max(s for shard in Manifest.load(open_store(root)).split(split).shards for s in shard.steps)

    def collated(drawn: QuerySampling) -> QueryBatch:
        dataset = QueryDataset(
            root,
            split=split,
            batch_size=1,
            sampling=drawn,
            horizon=min(1, steps - 1),
            shuffle=False,
            drop_last=False,
            ragged="pad",
        )
        return collate_block(dataset.source.readers[0].block([min(number, len(dataset.source.table) - 1)], 0))

    batch, full = collated(sampling), collated(QuerySampling())
    names = list(full.target_queries.values)
    figure = Figure(figsize=(9, 3.8 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False)
    shape = full.inputs.grid_shape
    coords = full.inputs.coords[0].numpy()
    for row, name in zip(axes, names, strict=True):
        before, after = full.inputs.fields[name][0, :, 0].numpy(), full.target_queries.values[name][0, :, 0].numpy()
        if full.inputs.mask is not None:  # what does not count is left blank
            before = np.where(full.inputs.mask[0].numpy(), before, np.nan)
            drawn, after = after, np.full(len(before), np.nan, np.float32)
            after[full.target_queries.index[0].numpy()] = drawn
        limits = float(np.nanmin(after)), float(np.nanmax(after))
        draw_frame(row[0], coords, before, shape, (float(np.nanmin(before)), float(np.nanmax(before))))
        draw_frame(row[1], coords, after, shape, limits, faded=True)
        draw_queries(row[1], batch.target_queries, name, shape, limits)
        row[0].set_title(f"{name}: dense input, {len(coords):,} points, t = {float(batch.time[0]):g}")
        queries = batch.target_queries.index.shape[-1]
        row[1].set_title(
            f"target, {queries:,} query points ({sampling.mode}), t = {float(batch.time[0] + batch.dt[0]):g}"
        )
    save_picture(figure, Path(out))


def draw_frame(
    ax: Axes,
    coords: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, ...] | None,
    limits: tuple[float, float],
    *,
    faded: bool = False,
) -> None:
    """Draw one channel of a frame `(N,)`: a line, an image, the middle slice of a volume, or points."""
    alpha = 0.45 if faded else 1.0
    if shape is not None and len(shape) == 1:
        ax.plot(coords[:, 0], values, lw=1, alpha=alpha)
        ax.set(xlabel="x", ylim=_padded(limits))
    elif shape is not None:
        image = values.reshape(shape)
        if len(shape) == 3:
            image = image[shape[0] // 2]
        y, x = (0.5 / max(n - 1, 1) for n in image.shape)  # grid points are the centres of the image's cells
        ax.imshow(
            image,
            origin="lower",
            extent=(-x, 1 + x, -y, 1 + y),
            cmap="RdBu_r",
            vmin=limits[0],
            vmax=limits[1],
            alpha=alpha,
        )
        ax.set(xlabel="x", ylabel="y")
    else:
        ax.scatter(
            coords[:, 0], coords[:, 1], s=2, c=values, cmap="RdBu_r", vmin=limits[0], vmax=limits[1], alpha=alpha
        )
        ax.set(xlabel="x", ylabel="y", aspect="equal")


def draw_queries(
    ax: Axes, queries: QuerySet, name: str, shape: tuple[int, ...] | None, limits: tuple[float, float]
) -> None:
    """Draw the first sample's query points."""
    draw_points(ax, queries.coords[0].numpy(), queries.values[name][0, :, 0].numpy(), shape, limits)


def draw_points(
    ax: Axes, points: np.ndarray, values: np.ndarray, shape: tuple[int, ...] | None, limits: tuple[float, float]
) -> None:
    """Draw points `(n, d)` in the colours of their values; of a volume, those near the middle slice."""
    if points.shape[1] == 1:
        ax.scatter(points[:, 0], values, s=9, color="black", zorder=3)
        return
    if shape is not None and len(shape) == 3:
        middle = (shape[0] // 2) / (shape[0] - 1)
        near = np.abs(points[:, 2] - middle) < 1.5 / (shape[0] - 1)
        points, values = points[near], values[near]
    size = np.clip(6000 / max(len(points), 1), 3, 14)
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=size,
        c=values,
        cmap="RdBu_r",
        vmin=limits[0],
        vmax=limits[1],
        edgecolors="black",
        linewidths=0.3,
    )


def plot_blocks(root: str | Path, manifest: Manifest, split: str, plot: Path) -> Iterator[Path]:
    """Draw beside the picture `plot`, for each set of points, a block of the first trajectory over its domain."""
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


def plot_block(
    frames: Mapping[str, np.ndarray],
    coords: np.ndarray,
    shape: tuple[int, ...] | None,
    blocks: Blocks,
    out: str | Path,
    *,
    number: int = 0,
) -> None:
    """Draw a stored block over the domain: title → one channel of a frame `(N,)`, at `coords` `(N, d)`.

    Left: all points. Right: those of block `number`.
    """
    slots = blocks.index[number * blocks.block_points :]
    members = slots[: blocks.counts[number]]
    figure = Figure(figsize=(9, 3.8 * len(frames)), layout="constrained")
    for row, (name, values) in zip(figure.subplots(len(frames), 2, squeeze=False), frames.items(), strict=True):
        limits = float(values.min()), float(values.max())
        draw_frame(row[0], coords, values, shape, limits)
        draw_frame(row[1], coords, values, shape, limits, faded=True)
        draw_points(row[1], coords[members], values[members], shape, limits)
        row[0].set_title(f"{name}: all {len(coords):,} points")
        row[1].set_title(f"block {number} of {len(blocks)}: {len(members):,} points")
    save_picture(figure, Path(out))


def plot_losses(runs: Mapping[str, Sequence[Mapping[str, Any]]], out: str | Path) -> None:
    """Draw training curves: run → the "epochs" of its `history.json`.

    Left: training loss against epochs. Right: validation error against training time.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for run, epochs in runs.items():
        left.plot([e["epoch"] + 1 for e in epochs], [e["loss"]["total"] for e in epochs], marker=".", label=run)
        seconds = np.cumsum([e["seconds"] for e in epochs])
        points = [(t, e["valid_nrmse"]) for t, e in zip(seconds, epochs, strict=True) if e["valid_nrmse"] is not None]
        if points:
            right.plot(*zip(*points, strict=True), marker=".", label=run)
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.set(xlabel="training time [s]", ylabel="validation nRMSE (dense grid)", yscale="log")
    left.legend()
    save_picture(figure, Path(out))


def plot_prediction(
    frames: Mapping[str, np.ndarray], coords: np.ndarray, shape: tuple[int, ...] | None, out: str | Path
) -> None:
    """Draw frames side by side on one colour scale: title → one channel `(N,)`, at `coords` `(N, d)`."""
    limits = float(min(f.min() for f in frames.values())), float(max(f.max() for f in frames.values()))
    figure = Figure(figsize=(3.4 * len(frames), 3.6), layout="constrained")
    for ax, (title, values) in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames.items(), strict=True):
        draw_frame(ax, coords, values, shape, limits)
        ax.set_title(title)
    save_picture(figure, Path(out))


def save_picture(figure: Figure, out: Path, *, dpi: int = 120) -> None:
    """Write a PNG: the whole file, or none; what is no file is never written to."""
    with replacing(out) as file:
        figure.savefig(file, dpi=dpi, format="png")


def _padded(limits: tuple[float, float]) -> tuple[float, float]:
    room = 0.05 * (limits[1] - limits[0]) or 1.0
    return limits[0] - room, limits[1] + room
