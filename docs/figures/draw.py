"""Draws the figures of architecture.md: `python docs/figures/draw.py` writes the SVG files beside it."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, BOX, LINE = 860, 250, 17
COLOURS = {"data": "#e8eaf6", "work": "#ffffff", "file": "#fff3e0"}


@dataclass(frozen=True)
class Box:
    """One station: its title, its room in the package, what happens there."""

    title: str
    room: str
    lines: tuple[str, ...]
    kind: str = "work"


CONVERSION = [
    [
        Box("simulation", "", ("a file or folder, in its own format",), "data"),
        Box("source", "sources/", ("recognised by its content", "opens one trajectory at a time")),
        Box("trajectory", "trajectory.py", ("fields, coordinates, axes, times;", "read only when sliced"), "data"),
    ],
    [
        Box("plan", "conversion/", ("splits, trajectories of each shard;", "kept, so that a stop costs little")),
        Box("task: one shard", "conversion/", ("in this process or in workers;", "the bytes are the same")),
        Box("layout", "writing/", ("cast, blocks, statistics,", "importance, chunks with a crc32c")),
    ],
    [
        Box("seal", "store/", ("sizes, digests and checksums", "of all that the shard holds")),
        Box("publish", "conversion/", ("the shard is written aside", "and renamed into its place")),
        Box("manifest", "schema/", ("dataset.json: written last,", "lists the seals' digests"), "file"),
    ],
]

BATCH = [
    [
        Box("seed, epoch, rank", "", ("and the manifest",), "data"),
        Box("plan", "plan/", ("the samples of every batch,", "known before anything is read")),
        Box("block of batches", "engine/", ("a few batches made at once,", "by threads or worker processes")),
    ],
    [
        Box(
            "draw, wanted",
            "sampling/, batch/",
            ("which points of which frames, and", "which chunks: nothing is read yet"),
        ),
        Box("fetch", "reading/ → store/", ("these chunks: mapped, or decoded", "into the pool; checked")),
        Box("gather", "batch/", ("the only copy: drawn points", "and dense inputs, into one buffer")),
    ],
    [
        Box("QueryBatch", "batch/", ("slices of the buffer, as tensors",), "data"),
        Box("device", "loader/", ("copied ahead from page-locked", "memory, if a device is given")),
        Box("your step", "training/, or yours", ("sees only the points drawn;", "may feed back their errors"), "data"),
    ],
]


def svg(rows: list[list[Box]]) -> str:
    """Stations from left to right, row after row, joined by arrows."""
    height = 14 + len(rows) * 130
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#3949ab"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fafafa"/>',
    ]
    gap = (WIDTH - 3 * BOX) / 4
    for number, row in enumerate(rows):
        top = 30 + number * 130
        for column, box in enumerate(row):
            left = gap + column * (BOX + gap)
            parts += drawn(box, left, top)
            if column:
                parts.append(arrow([(left - gap, top + 42), (left, top + 42)]))
        if number:
            right, left, middle = gap + 2 * (BOX + gap) + BOX / 2, gap + BOX / 2, top - 22
            parts.append(arrow([(right, top - 46), (right, middle), (left, middle), (left, top)]))
    return "\n".join([*parts, "</svg>\n"])


def drawn(box: Box, left: float, top: float) -> list[str]:
    """A box with its text."""
    frame = f'x="{left}" y="{top}" width="{BOX}" height="84" rx="6" fill="{COLOURS[box.kind]}" stroke="#3949ab"'
    parts = [f"<rect {frame}/>", text(box.title, left + 12, top + 22, 'font-size="15" font-weight="bold"')]
    if box.room:
        parts.append(text(box.room, left + BOX - 12, top + 22, 'font-size="12" fill="#3949ab" text-anchor="end"'))
    for number, line in enumerate(box.lines):
        parts.append(text(line, left + 12, top + 45 + number * LINE, 'font-size="13" fill="#333333"'))
    return parts


def text(words: str, x: float, y: float, style: str) -> str:
    """One line of text."""
    return f'<text x="{x}" y="{y}" {style}>{escape(words)}</text>'


def arrow(points: list[tuple[float, float]]) -> str:
    """A line through points, with a tip at its end."""
    through = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{through}" fill="none" stroke="#3949ab" stroke-width="1.5" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    for name, rows in {"conversion": CONVERSION, "batch": BATCH}.items():
        Path(__file__).with_name(f"{name}.svg").write_text(svg(rows))
