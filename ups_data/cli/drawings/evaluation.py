"""Error against lead time; truth, prediction and difference of a sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ups_data.cli.pictures import draw_frame, save_picture
from ups_data.errors import printable
from ups_data.training.evaluation.kept import KeptFrame

PANEL = 2.4  # inches, how wide a frame is drawn, and how high at most
COLOURS = {"model": "tab:blue", "persistence": "tab:orange", "mean": "tab:grey"}


def draw_evaluation(values: Mapping[str, Any], frames: Mapping[str, Mapping[int, KeptFrame]], out: Path) -> list[Path]:
    """Every picture of an evaluation, into a folder that is there.

    Args:
        values: of a `Report`.
        frames: of a `Kept`.
    """
    drawn = []
    if len(values["steps"]) > 1:
        drawn.append(out / "error-by-step.png")
        plot_steps(values, drawn[-1])
    for name, of_field in frames.items():
        drawn.append(out / f"frames-{name}.png")
        plot_frames(name, of_field, values["fields"][name].get("units"), drawn[-1])
    return drawn


def plot_steps(values: Mapping[str, Any], out: Path) -> None:
    """nRMSE and VRMSE against lead time, of the model and of the baselines, the mean over fields."""
    steps = values["steps"]
    time = [step["dt"] for step in steps]
    figure = Figure(figsize=(9, 3.7), layout="constrained")
    for ax, (measure, title) in zip(figure.subplots(1, 2), {"nrmse": "nRMSE", "vrmse": "VRMSE"}.items(), strict=True):
        lines = {"model": [step[measure] for step in steps]}
        for name in ("persistence", "mean"):
            of_steps = [step["baselines"][name] for step in steps]
            if None not in of_steps:
                lines[name] = [baseline[measure] for baseline in of_steps]
        for name, line in lines.items():
            ax.plot(time, np.array(line, float), marker=".", label=name, color=COLOURS[name])
        ax.set(xlabel="lead time", ylabel=title)
        if all(v is not None and v > 0 for line in lines.values() for v in line):
            ax.set_yscale("log")
            _number_plainly(ax)
        ax.grid(alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=len(lines), frameon=False)
    save_picture(figure, out)


def _number_plainly(ax: Axes) -> None:
    """0.2, 0.5, 1, 2 along a logarithmic axis that spans few decades."""
    low, high = ax.get_ylim()
    if low > 1e-3 * high:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def plot_frames(name: str, frames: Mapping[int, KeptFrame], units: str | None, out: Path) -> None:
    """One row for each step: truth and prediction on one colour scale, and their difference on its own. That leaves out
    a hundredth of the points if those would make it twice as wide."""
    first = next(iter(frames.values()))
    components = _components(first)
    solid = len(components) == 3
    called = name if first.channels == 1 else f"{name}[0]"
    height = 2.7 if first.grid is not None or solid else PANEL * min(1.0, _ratio(first, components)) + 0.9
    figure = Figure(figsize=(10.5, height * len(frames)), layout="constrained")
    places = figure.subplots(len(frames), 3, squeeze=False, subplot_kw={"projection": "3d"} if solid else {})
    for row, (step, frame) in zip(places, sorted(frames.items()), strict=True):
        limits = _limits(np.concatenate([frame.truth, frame.predicted]))
        away = frame.predicted - frame.truth
        most, widest = _largest(away)
        parts = {"truth": (frame.truth, limits), "prediction": (frame.predicted, limits)}
        for ax, (title, (shown, scale)) in zip(
            row, {**parts, "difference": (away, (-most, most))}.items(), strict=True
        ):
            mapped = _draw(ax, frame, shown, scale, components)
            ax.set_title(f"{called}, {title}, t = {frame.time:g}" if title == "truth" else f"{title}, step {step + 1}")
            if mapped is not None:
                beyond = "both" if title == "difference" and widest > most else "neither"
                bar = figure.colorbar(mapped, ax=ax, shrink=0.9, extend=beyond)
                bar.set_label(printable(units or "")[:60], parse_math=False)
    save_picture(figure, out, dpi=110)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Of the finite ones."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def _largest(differences: np.ndarray) -> tuple[float, float]:
    """How far the scale of differences goes, and the largest of them."""
    sizes = np.abs(differences[np.isfinite(differences)])
    if not sizes.any():
        return 1.0, 1.0
    most, widest = float(np.quantile(sizes, 0.99)), float(sizes.max())
    return (most, widest) if widest > 2 * most > 0 else (widest, widest)


def _ratio(frame: KeptFrame, components: list[int]) -> float:
    """Height ÷ width of what is shown of points in a plane; a half for a line."""
    if len(components) == 1:
        return 0.5
    (left, right), (low, high) = (_dense(frame.coords[:, component]) for component in components)
    return float(np.clip((high - low) / max(right - left, 1e-30), 0.15, 2.0))


def _components(frame: KeptFrame) -> list[int]:
    """Which coordinates are drawn: of points that lie in a plane, as a flat mesh in a VTK file does, those of the
    plane."""
    extent = np.ptp(frame.coords, axis=0)
    if frame.grid is not None or len(extent) < 3:
        return list(range(len(extent)))
    wide = [axis for axis in range(3) if extent[axis] > 1e-6 * extent.max()]
    return wide if len(wide) > 1 else [0, 1]


def _draw(ax: Any, frame: KeptFrame, values: np.ndarray, limits: tuple[float, float], components: list[int]) -> Any:
    """One channel of a frame; what a colour bar is made of, None for a line."""
    if frame.grid is not None:
        flat: Axes = ax
        draw_frame(flat, frame.coords, values, frame.grid, limits)
        return flat.images[0] if flat.images else None
    size = float(np.clip(20_000 / max(len(values), 1), 0.5, 12))
    colours: dict[str, Any] = {"c": values, "cmap": "RdBu_r", "vmin": limits[0], "vmax": limits[1], "s": size}
    names = ["xyz"[component] for component in components]
    if len(components) == 3:
        x, y, z = frame.coords.T
        ax.set_box_aspect([float(np.ptp(c)) for c in (x, y, z)])
        ax.set(xlabel="x", ylabel="y", zlabel="z")
        return ax.scatter(x, y, z, linewidths=0, **colours)
    at = [frame.coords[:, component] for component in components]
    if len(at) == 1:
        ax.set(xlabel=names[0])
        return ax.scatter(at[0], values, linewidths=0, **colours)
    across, along = (_dense(c) for c in at)
    ax.set(xlabel=names[0], ylabel=names[1], aspect="equal", xlim=across, ylim=along)
    inch = PANEL / max(across[1] - across[0], along[1] - along[0])
    dots = np.clip((1.3 * 72 * inch * _apart(at[0], at[1], across, along)) ** 2, size, 150)
    return ax.scatter(*at, linewidths=0, **(colours | {"s": dots}))


def _apart(x: np.ndarray, y: np.ndarray, across: tuple[float, float], along: tuple[float, float]) -> np.ndarray:
    """`(n,)`, about how far points are from their neighbours, by how many lie in a cell of a coarse grid; 0 where they
    do not fill what is shown, as those of a contour."""
    cells = max(1, int((len(x) / 8) ** 0.5))
    counts, *edges = np.histogram2d(x, y, bins=cells, range=(across, along))
    i, j = (np.clip(np.searchsorted(e, v) - 1, 0, cells - 1) for e, v in zip(edges, (x, y), strict=True))
    if (counts > 0).mean() < 0.9:
        return np.zeros(len(x))
    area = (across[1] - across[0]) * (along[1] - along[0]) / cells**2
    found: np.ndarray = np.sqrt(area / np.maximum(counts[i, j], 1))
    return found


def _dense(values: np.ndarray) -> tuple[float, float]:
    """The range that is shown: all of it, or, if most points lie in less than half of it, where they lie."""
    ends, (low, high) = (float(values.min()), float(values.max())), map(float, np.quantile(values, (0.1, 0.9)))
    if high - low > 0.5 * (ends[1] - ends[0]):
        room = 0.03 * (ends[1] - ends[0]) or 1.0
        return ends[0] - room, ends[1] + room
    room = 0.3 * (high - low) or 1.0
    return max(ends[0], low - room), min(ends[1], high + room)
