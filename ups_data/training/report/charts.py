"""Curves as SVG within a page: their colours are the page's, so that they are dark where it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from ups_data.pages import text
from ups_data.training.report.axes import Axis, told

LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 46  # around the curves, in pixels
MOST_POINTS = 1500  # of a curve: more cannot be told apart, and make the page large
COLOURS = 6  # that the page's style has
LARGEST = 1e100  # numbers beyond it, or below its inverse, are none that a run measures, and no axis can hold them


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        points: (x, y); what cannot be drawn, such as a value that is not finite, is left out.
        smooth: drawn thin, with its moving average on top.
        level: a horizontal line, of which y of the first point counts.
    """

    name: str
    points: Sequence[tuple[float, float]]
    smooth: bool = False
    level: bool = False


class Frame:
    """Where in a picture of this size a point is.

    Args:
        half: the picture shares the page's width with another.
    """

    def __init__(self, across: Axis, up: Axis, *, half: bool) -> None:
        self.across, self.up = across, up
        self.width, self.height = (500, 230) if half else (1024, 320)
        self.right, self.bottom = self.width - RIGHT, self.height - BOTTOM

    def x(self, value: float) -> float:
        """In pixels from the left."""
        return LEFT + self.across.place(value) * (self.right - LEFT)

    def y(self, value: float) -> float:
        """In pixels from the top."""
        return self.bottom - self.up.place(value) * (self.bottom - TOP)


def chart(
    curves: Sequence[Curve], *, x: str, y: str, log: bool = False, from_zero: bool = False, half: bool = False
) -> str:
    """A figure with its legend; empty if there is nothing to draw.

    Args:
        x, y: what the axes show, with units; x counts.
        log: whether y is logarithmic.
        from_zero: whether a linear y begins at 0.
        half: as `Frame`.
    """
    drawn = [(curve, points) for curve in curves if (points := _drawable(curve.points, log))]
    lines = [points for curve, points in drawn if not curve.level]
    if not lines:
        return ""
    across = Axis([point[0] for points in lines for point in points], whole=True)
    up = Axis([point[1] for _, points in drawn for point in points], log=log, from_zero=from_zero)
    frame = Frame(across, up, half=half)
    parts = [*_grid(frame), *_labels(frame, x, y)]
    for number, (curve, points) in enumerate(drawn):
        parts += _drawn(curve, points, number % COLOURS, frame)
    legend = "".join(
        f'<span class="c{number % COLOURS}{" dashed" if curve.level else ""}"><i></i>{text(curve.name)}</span>'
        for number, (curve, _) in enumerate(drawn)
    )
    label = text(f"{y} against {x}")
    return (
        f'<figure><div class="legend">{legend if len(drawn) > 1 else ""}</div>'
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        "</figure>"
    )


def _drawable(points: Sequence[tuple[float, float]], log: bool) -> list[tuple[float, float]]:
    found = [(x, y if abs(y) * LARGEST > 1 else 0.0) for x, y in points if abs(x) < LARGEST and abs(y) < LARGEST]
    return [(x, y) for x, y in found if y > 0] if log else found


def _drawn(curve: Curve, points: list[tuple[float, float]], colour: int, frame: Frame) -> list[str]:
    if curve.level:
        level = f"{frame.y(points[0][1]):.1f}"
        return [f'<line class="c{colour} level" x1="{LEFT}" x2="{frame.right}" y1="{level}" y2="{level}"/>']
    if len(points) == 1:
        x, y = points[0]
        return [f'<circle class="c{colour}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4"/>']
    layers = [("line", thinned(points))]
    if curve.smooth and len(points) > 30:
        layers = [("line faint", thinned(points)), ("line", thinned(smoothed(points)))]
    return [
        f'<polyline class="c{colour} {kind}" '
        f'points="{" ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in layer)}"/>'
        for kind, layer in layers
    ]


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them: of each stretch the lowest and the highest, so that no peak is lost."""
    if len(points) <= MOST_POINTS:
        return points
    stretches, kept = MOST_POINTS // 2, []
    for number in range(stretches):
        stretch = points[len(points) * number // stretches : len(points) * (number + 1) // stretches]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept


def smoothed(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean over a window of a thirtieth of the points around each, cut off at the ends."""
    half = max(1, len(points) // 60)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    found = []
    for number, (x, _) in enumerate(points):
        reach = min(half, number, len(points) - 1 - number)
        start, stop = number - reach, number + reach + 1
        found.append((x, (sums[stop] - sums[start]) / (stop - start)))
    return found


def _grid(frame: Frame) -> list[str]:
    parts = []
    for tick in frame.up.ticks(6):
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{told(tick)}</text>')
    bottom = frame.bottom
    for tick in frame.across.ticks(frame.width // 90):
        x = frame.x(tick)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{told(tick)}</text>')
    parts.append(f'<line class="mark" x1="{LEFT}" x2="{frame.right}" y1="{bottom}" y2="{bottom}"/>')
    return parts


def _labels(frame: Frame, x: str, y: str) -> list[str]:
    across, up = (LEFT + frame.right) / 2, (TOP + frame.bottom) / 2
    return [
        f'<text class="axis" x="{across}" y="{frame.height - 8}" text-anchor="middle">{text(x)}</text>',
        f'<text class="axis" transform="translate(14 {up}) rotate(-90)" text-anchor="middle">{text(y)}</text>',
    ]
