"""Airfoils: the points of a batch, pressure around shapes, and the speed of the flow."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ups_data.batch import EncoderInput, QueryBatch, QuerySet
from ups_data.cli.pictures import save_picture

NEAR = ((-0.6, 1.6), (-0.75, 0.75))  # in chords


def plot_drawn_points(batch: QueryBatch, out: Path) -> None:
    """The first sample: the encoder's points on the surface, and the queries, near the shape and everywhere."""
    figure = Figure(figsize=(11, 4.4), layout="compressed")
    surface, volume = batch["surface"], batch["volume"]
    seen = _places(surface.inputs, 0)
    for ax, title in zip(figure.subplots(1, 2), ("everywhere", "near the shape"), strict=True):
        queries = volume.target_queries
        speed = np.linalg.norm(_real(queries, queries.values["velocity"], 0), axis=-1)
        places = _places(queries, 0)
        mapped = ax.scatter(places[:, 0], places[:, 1], s=5, c=speed, cmap="viridis", vmin=0.5, vmax=1.5, linewidths=0)
        ax.plot(*seen.T[:2], ".", color="black", ms=3, label=f"{len(seen)} points that the encoder sees")
        on_surface = _places(surface.target_queries, 0)
        ax.plot(*on_surface.T[:2], "o", color="tab:red", ms=4, mfc="none", label=f"{len(on_surface)} queries of cp")
        ax.set_title(f"{len(speed):,} queries of the velocity, {title}")
        ax.set(aspect="equal", xlabel="x [chords]", ylabel="y")
    ax.set(xlim=NEAR[0], ylim=NEAR[1])
    ax.legend(loc="lower left", fontsize=8)
    figure.colorbar(mapped, ax=ax, shrink=0.7, label="speed")
    save_picture(figure, out)


def plot_pressure(batch: QueryBatch, predicted: Tensor, out: Path) -> None:
    """cp along the chord of up to four samples, exact and predicted, with the shapes below."""
    queries = batch["surface"].target_queries
    count = min(4, len(batch))
    figure = Figure(figsize=(3.3 * count, 4.4), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False, height_ratios=(3, 1), sharex=True)
    for number, (above, below) in enumerate(axes.T):
        places = _places(queries, number)
        x, exact = places[:, 0], _real(queries, queries.values["cp"], number)[:, 0]
        above.plot(x, exact, color="black", lw=1.2, label="exact")
        above.plot(x, _real(queries, predicted, number)[:, 0], ".", ms=3, color="tab:orange", label="predicted")
        above.invert_yaxis()  # suction upwards, as is the custom
        above.set_title(f"angle of attack {float(batch.params['angle_of_attack'][number]):.1f}°", fontsize=10)
        below.fill(*places.T[:2], color="0.7")
        below.set(aspect="equal", xlabel="x [chords]")
    axes[0, 0].set_ylabel("cp")
    axes[0, 0].legend()
    save_picture(figure, out)


def plot_speed(batch: QueryBatch, predicted: Tensor, out: Path, number: int = 0) -> None:
    """The speed near one sample's shape: exact, predicted, and the difference on its own scale."""
    queries = batch["volume"].target_queries
    exact, found = (
        np.linalg.norm(_real(queries, values, number), axis=-1) for values in (queries.values["velocity"], predicted)
    )
    places, away = _places(queries, number), found - exact
    most = float(np.quantile(np.abs(away), 0.995)) or 1.0
    parts = {"exact": (exact, (0.0, 2.0)), "predicted": (found, (0.0, 2.0)), "difference": (away, (-most, most))}
    figure = Figure(figsize=(14, 3.2), layout="compressed")
    for ax, (title, (values, limits)) in zip(figure.subplots(1, 3), parts.items(), strict=True):
        mapped = _filled(ax, places, values, limits)
        ax.fill(*_places(batch["surface"].target_queries, number).T[:2], color="0.7", zorder=3)
        ax.set(aspect="equal", xlim=NEAR[0], ylim=NEAR[1], title=f"speed, {title}", xlabel="x [chords]")
        figure.colorbar(mapped, ax=ax, shrink=0.8)
    save_picture(figure, out)


def _filled(ax: Axes, places: np.ndarray, values: np.ndarray, limits: tuple[float, float]) -> Any:
    """Triangles between the points that lie near, in the colours of their values; the shape is painted over them."""
    (left, right), (low, high) = NEAR
    x, y = places[:, 0], places[:, 1]
    near = (x > left - 0.4) & (x < right + 0.4) & (y > low - 0.4) & (y < high + 0.4)
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": limits[0], "vmax": limits[1]}
    return ax.tripcolor(x[near], y[near], values[near], shading="gouraud", **colours)


def _places(points: QuerySet | EncoderInput, number: int) -> np.ndarray:
    """Where the points of a sample are, without those that only fill its row, in the source's units."""
    given: Any = points
    coords: Tensor = given.coords if getattr(given, "scale", None) is None else given.source_coords()
    return _kept(coords.expand(max(len(coords), number + 1), -1, -1), points.mask, number)


def _real(points: QuerySet, values: Tensor, number: int) -> np.ndarray:
    return _kept(values, points.mask, number)


def _kept(values: Tensor, mask: Tensor | None, number: int) -> np.ndarray:
    found: np.ndarray = values[number].numpy()
    return found if mask is None else found[mask[number].numpy()]
