"""Pictures of a card: frames in the source's units, with axes that say what they are."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context, rcdefaults
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ups_data.card.frames import Shown
from ups_data.card.planes import MOST_CELLS, Line, Plane, edges, line_of, planes_of, to_scale
from ups_data.errors import printable
from ups_data.schema import FieldSpec, Manifest

MOST_POINTS = 20_000  # of a cloud that are drawn
MOST_CHANNELS = 3  # of the first split; of the others the first
NO_VALUE = "#c9c9c9"
WIDTH = 3.8  # of a panel, in inches
ROOM = (0.95, 0.85, 0.75, 0.75)  # to the left and right of a panel, above and below


def picture_of(manifest: Manifest, field: FieldSpec, frames: Sequence[Shown]) -> bytes:
    """A PNG; the same bytes from the same frames and the same matplotlib.

    One row for each split, in the first one for each of the first channels. From left to right: the frame, of three
    dimensions in two planes, and the points drawn.
    """
    rows = [(frame, c) for n, frame in enumerate(frames) for c in range(_channels(field) if n == 0 else 1)]
    columns = 1 + max(1, len(_planes(manifest, field)))
    with rc_context(), warnings.catch_warnings():
        rcdefaults()  # whatever somebody's configuration says
        warnings.simplefilter("ignore")  # of glyphs that the font lacks, and of axes without an extent
        figure, places = _panels(len(rows), columns, _height(manifest, field, frames[0]))
        for axes, (frame, channel) in zip(places, rows, strict=True):
            _row(axes, manifest, field, frame, channel)
        file = io.BytesIO()
        figure.savefig(file, dpi=75, format="png", metadata={"Software": None})
    return file.getvalue()


def _panels(rows: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """Axes of WIDTH by that height, in inches, with room for what stands around them."""
    left, right, above, below = ROOM
    whole = (columns * (left + WIDTH + right), rows * (above + height + below))
    figure = Figure(figsize=whole)
    places = []
    for row in range(rows):
        bottom = whole[1] - (row + 1) * (above + height + below) + below
        starts = [column * (left + WIDTH + right) + left for column in range(columns)]
        boxes = [(x / whole[0], bottom / whole[1], WIDTH / whole[0], height / whole[1]) for x in starts]
        places.append([figure.add_axes(box) for box in boxes])
    return figure, places


def _height(manifest: Manifest, field: FieldSpec, frame: Shown) -> float:
    """Of a panel: what its frame needs to be drawn to scale."""
    lines = _lines(manifest, field, frame)
    scaled = [(lines[p.across], lines[p.up]) for p in _planes(manifest, field)]
    shares = [up.extent / across.extent if to_scale(across, up) else 0.75 for across, up in scaled]
    return WIDTH * float(np.clip(max(shares, default=0.75), 0.25, 1.25))


def _colour_bar(ax: Axes, mapped: Any, label: str) -> None:
    held = ax.inset_axes((1.02, 0.0, 0.03, 1.0))
    ax.figure.colorbar(mapped, cax=held).set_label(label, parse_math=False)


def _row(axes: Sequence[Axes], manifest: Manifest, field: FieldSpec, frame: Shown, channel: int) -> None:
    values = frame.values[:, channel].astype(np.float32)
    colours = _colours(values)
    lines, planes = _lines(manifest, field, frame), _planes(manifest, field)
    if not planes:
        _draw_line(axes, manifest, field, frame, channel, lines[0])
    for ax, plane in zip(axes, planes, strict=False):
        mapped = _draw_plane(ax, manifest, lines, plane, frame, values, colours)
        _colour_bar(ax, mapped, _name(field.units or ""))
    if planes:
        _draw_plane(axes[-1], manifest, lines, planes[0], frame, values, {**colours, "alpha": 0.35})
        _draw_drawn(axes[-1], manifest, lines, planes[0], frame, values, colours)
    name = field.name if field.channels == 1 else f"{field.name}[{channel}]"
    when = "static" if field.static else f"t = {frame.time:.6g}{_unit(manifest.time_units)}"
    where = f"frame {frame.step + 1} of {frame.steps}"
    cuts = [_cut(lines[plane.depth], frame, plane) for plane in planes if plane.depth is not None]
    drawn = f"{len(frame.drawn):,} of {len(values):,} points drawn"
    about = f"{_name(frame.split)}: {_name(name)}{_unit(field.units)}"
    _title(axes[0], about, f"{when}, {where}", *cuts[:1])
    _title(axes[-1], drawn, *cuts[:1])
    for ax, cut in zip(axes[1:-1], cuts[1:], strict=True):
        _title(ax, cut)


def _title(ax: Axes, *lines: str) -> None:
    ax.set_title("\n".join(lines), parse_math=False, fontsize=10)


def _draw_line(
    axes: Sequence[Axes], manifest: Manifest, field: FieldSpec, frame: Shown, channel: int, line: Line
) -> None:
    """One dimension: over time on the left if there is any, and the drawn points on the frame."""
    at = line.values if frame.coords is None else frame.coords[:, 0]
    values, order = frame.values[:, channel], np.argsort(at, kind="stable")
    if frame.over_time is not None and channel == 0:
        over, time = frame.over_time
        mapped = axes[0].pcolormesh(edges(line.values), edges(time), over, **_colours(over))
        _colour_bar(axes[0], mapped, _name(field.units or ""))
        axes[0].set_ylabel(f"time{_unit(manifest.time_units)} →", parse_math=False)
    else:
        axes[0].plot(at[order], values[order], lw=1)
    axes[1].plot(at[order], values[order], lw=1, alpha=0.4)
    axes[1].plot(at[frame.drawn], values[frame.drawn], ".", color="black", ms=4)
    for ax in axes:
        ax.set_xlabel(line.label(), parse_math=False)
    axes[1].set_ylabel(f"{_name(field.name)}{_unit(field.units)}", parse_math=False)


def _draw_plane(
    ax: Axes,
    manifest: Manifest,
    lines: Sequence[Line],
    plane: Plane,
    frame: Shown,
    values: np.ndarray,
    colours: dict[str, Any],
) -> Any:
    """What a colour bar is made of."""
    across, up = lines[plane.across], lines[plane.up]
    mapped: Any
    if frame.coords is None:
        assert manifest.grid is not None
        cells = values.reshape(manifest.grid.shape)
        if plane.depth is not None:
            cells = np.take(cells, _middle(lines[plane.depth]), plane.depth)
        cells = cells if plane.up < plane.across else cells.T
        thin = [-(-n // MOST_CELLS) for n in cells.shape]
        kept = cells[:: thin[0], :: thin[1]]
        mapped = ax.pcolormesh(edges(across.values[:: thin[1]]), edges(up.values[:: thin[0]]), kept, **colours)
    else:
        near = _near(frame.coords, plane)
        if frame.before is not None:
            first = frame.before[_near(frame.before, plane)]
            ax.scatter(first[:, plane.across], first[:, plane.up], s=3, color="#b9b9b9", linewidths=0)
        size = float(np.clip(20_000 / max(len(near), 1), 0.8, 12))
        at = frame.coords[near]
        given = {**colours, "s": size, "c": values[near], "linewidths": 0}
        mapped = ax.scatter(at[:, plane.across], at[:, plane.up], **given)
    ax.set_facecolor(NO_VALUE if frame.coords is None and "alpha" not in colours else "white")
    ax.set_xlabel(across.label(), parse_math=False)
    ax.set_ylabel(up.label(), parse_math=False)
    scaled = to_scale(across, up)
    ax.set_aspect("equal" if scaled else "auto")
    if not scaled and across.units == up.units:
        ax.annotate("not to scale", (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=8)
    return mapped


def _draw_drawn(
    ax: Axes,
    manifest: Manifest,
    lines: Sequence[Line],
    plane: Plane,
    frame: Shown,
    values: np.ndarray,
    colours: dict[str, Any],
) -> None:
    """The points drawn, of three dimensions those near the plane."""
    drawn = frame.drawn
    if frame.coords is None:
        assert manifest.grid is not None
        index = np.unravel_index(drawn, manifest.grid.shape)
        if plane.depth is not None:
            near = np.abs(index[plane.depth] - _middle(lines[plane.depth])) <= 1
            drawn, index = drawn[near], tuple(i[near] for i in index)
        at = [lines[c].values[index[c]] for c in (plane.across, plane.up)]
    else:
        drawn = np.intersect1d(drawn, _slab(frame.coords, plane))
        at = [frame.coords[drawn, c] for c in (plane.across, plane.up)]
    size = float(np.clip(4000 / max(len(drawn), 1), 5, 16))
    given = {**colours, "s": size, "c": values[drawn], "edgecolors": "black", "linewidths": 0.4, "zorder": 3}
    ax.scatter(at[0], at[1], **given)


def _planes(manifest: Manifest, field: FieldSpec) -> list[Plane]:
    if manifest.grid is not None:
        names = [axis.name for axis in manifest.grid.axes]
        return planes_of(names, points=False) if len(names) > 1 else []
    dim = manifest.point_set(field.point_set).dim
    return planes_of("xyz"[:dim], points=True) if dim > 1 else []


def _lines(manifest: Manifest, field: FieldSpec, frame: Shown) -> list[Line]:
    if manifest.grid is not None:
        return [line_of(axis, number) for number, axis in enumerate(manifest.grid.axes)]
    assert frame.coords is not None
    return [Line("xyz"[c], None, _ends(frame.coords[:, c])) for c in range(frame.coords.shape[1])]


def _ends(values: np.ndarray) -> np.ndarray:
    return np.array([values.min(), values.max()])


def _near(coords: np.ndarray, plane: Plane) -> np.ndarray:
    """At most MOST_POINTS of the points that are drawn, those that lie furthest back first."""
    numbers = _slab(coords, plane)
    numbers = numbers[:: -(-len(numbers) // MOST_POINTS) or 1]
    return numbers if plane.depth is None else numbers[np.argsort(coords[numbers, plane.depth], kind="stable")]


def _slab(coords: np.ndarray, plane: Plane) -> np.ndarray:
    """All points; of points that fill a volume, the tenth nearest to its middle, so that one sees into it."""
    everything = np.arange(len(coords))
    if plane.depth is None:
        return everything
    depth = coords[:, plane.depth]
    away = np.abs(depth - np.median(depth))
    middle = everything[away <= np.quantile(away, 0.1)]
    return middle if 2 * _cells(coords[middle], plane) > _cells(coords, plane) else everything


def _cells(coords: np.ndarray, plane: Plane) -> int:
    """How many of 16 × 16 cells of the plane have points."""
    ends = [tuple(_ends(coords[:, c])) for c in (plane.across, plane.up)]
    counts, *_ = np.histogram2d(coords[:, plane.across], coords[:, plane.up], bins=16, range=ends)
    return int((counts > 0).sum())


def _middle(line: Line) -> int:
    return len(line.values) // 2


def _cut(line: Line, frame: Shown, plane: Plane) -> str:
    unit = _unit(line.units)
    if frame.coords is None:
        return f"at {_name(line.name)} = {line.values[_middle(line)]:.4g}{unit}"
    slab = len(_slab(frame.coords, plane)) < len(frame.coords)
    return f"near the middle of {_name(line.name)}" if slab else f"seen along {_name(line.name)}"


def _colours(values: np.ndarray) -> dict[str, Any]:
    """One scale for what is finite; one around zero if values lie on both sides of it."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low < 0 < high and min(-low, high) > 0.2 * max(-low, high):
        most = max(-low, high)
        return {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    return {"cmap": "viridis", "vmin": low, "vmax": high if high > low else low + 1}


def _channels(field: FieldSpec) -> int:
    return min(field.channels, MOST_CHANNELS)


def _name(text: str) -> str:
    return printable(text)[:60]


def _unit(units: str | None) -> str:
    return f" [{_name(units)}]" if units else ""
