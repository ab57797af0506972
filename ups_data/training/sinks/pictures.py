"""Pictures of validation samples: truth, prediction, difference."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ups_data.atomic import replacing
from ups_data.batch import QueryBatch, QuerySet
from ups_data.errors import UpsDataError, printable
from ups_data.models.protocol import Model

MOST_POINTS = 20_000  # of a cloud that are drawn


@torch.no_grad()
def draw_validation(model: Model, batch: QueryBatch, folder: Path, *, samples: int, epoch: int) -> dict[str, Path]:
    """Draw the first channel of every field of the first samples; of a horizon, the last step.

    Args:
        batch: with every point of the target frames, on the model's device.
        samples: how many.
        epoch: part of the files' names, `folder/FIELD-SAMPLE-EPOCH.png`.

    Returns:
        `FIELD-SAMPLE` → file.

    Raises:
        UpsDataError: matplotlib is not installed.
    """
    check_drawing()
    was_training = model.training
    drawn: dict[str, Path] = {}
    folder.mkdir(exist_ok=True)
    predicted = model.eval().predict(batch)
    model.train(was_training)
    for part in (batch, *batch.others.values()):
        for name, values in part.target_queries.values.items():
            for sample in range(min(samples, len(batch))):
                truth, found = (_channel(v[sample]) for v in (values, predicted[name]))
                label = f"{re.sub(r'[^A-Za-z0-9_]+', '_', name)}-{sample}"
                drawn[label] = folder / f"{label}-{epoch + 1:05d}.png"
                _draw(part.target_queries, sample, name, truth, found, drawn[label])
    return drawn


def check_drawing() -> None:
    """Refuse to begin what would end in the first validation.

    Raises:
        UpsDataError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise UpsDataError('training.pictures needs matplotlib: pip install "ups_data[plots]"') from None


def _channel(values: torch.Tensor) -> np.ndarray:
    """`(Q, C)` or `(K, Q, C)` → `(Q,)`."""
    last = values[-1] if values.dim() == 3 else values
    found: np.ndarray = last[:, 0].float().cpu().numpy()
    return found


def _draw(queries: QuerySet, sample: int, name: str, truth: np.ndarray, found: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    coords = queries.coords[sample if len(queries.coords) > 1 else 0]
    points = (coords[-1] if coords.dim() == 3 else coords).float().cpu().numpy()
    mask = None if queries.mask is None else queries.mask[sample].reshape(-1, len(truth))[-1].cpu().numpy()
    if mask is not None:
        truth, found, points = truth[mask], found[mask], points[mask]
    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    low, high = float(truth.min()), float(truth.max())
    most = float(np.abs(found - truth).max()) or 1.0
    shown = {"truth": (truth, low, high), "prediction": (found, low, high), "difference": (found - truth, -most, most)}
    for ax, (title, (values, least, top)) in zip(axes, shown.items(), strict=True):
        colours: dict[str, Any] = {"vmin": least, "vmax": top, "cmap": "RdBu_r" if title == "difference" else "viridis"}
        mapped = _draw_values(ax, queries.grid_shape, points, values, colours)
        ax.set_title(f"{printable(name)}, {title}" if title == "truth" else title)
        if mapped is not None:
            figure.colorbar(mapped, ax=ax, shrink=0.85)
    with replacing(path) as file:
        figure.savefig(file, dpi=100, format="png")


def _draw_values(
    ax: Any, grid: tuple[int, ...] | None, points: np.ndarray, values: np.ndarray, colours: dict[str, Any]
) -> Any:
    """What a colour bar is made of; None for a line."""
    if points.shape[1] == 1:
        order = np.argsort(points[:, 0])
        ax.plot(points[order, 0], values[order])
        ax.set(xlabel="x", ylim=(colours["vmin"], colours["vmax"]) if colours["vmin"] < colours["vmax"] else None)
        return None
    ax.set(xlabel="x", ylabel="y", aspect="equal")
    if grid is not None:
        image = values.reshape(grid)
        plane = image if image.ndim == 2 else image[image.shape[0] // 2]
        low, high = points.min(0), points.max(0)
        return ax.imshow(plane, origin="lower", extent=(low[0], high[0], low[1], high[1]), **colours)
    every = -(-len(values) // MOST_POINTS)
    size = float(np.clip(20_000 / len(values), 0.5, 14))
    x, y = points[::every, 0], points[::every, 1]
    return ax.scatter(x, y, c=values[::every], s=size, linewidths=0, **colours)
