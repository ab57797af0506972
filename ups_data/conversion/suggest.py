"""What a sample's query points cost to read, and how many blocks suit a ratio: pure arithmetic, before compression.

A draw of Q of N points takes m = ceil(Q / P) of B blocks. A chunk holds one block of k frames and is read once for all
of them, so a frame's share of what is read is 1 - (1 - m / B)^k of its bytes: m / B where a chunk holds one frame, all
of it where frames are stored whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ups_data.schema import FieldSpec, Manifest
from ups_data.trajectory import Trajectory
from ups_data.writing import chunks
from ups_data.writing.casting import stored_dtype
from ups_data.writing.run import Run

# What it costs to find, check and decode a chunk beside its bytes, in bytes that could be copied in that time.
CHUNK_COST = 4096
MAX_BLOCKS = 4096
# Fewer blocks are simpler: they are taken where they cost hardly more.
CLOSE = 1.1


@dataclass(frozen=True)
class FrameSize:
    """One frame of a trajectory, of one set of points.

    Attributes:
        grid: its shape; None for points.
        points: N.
        steps: T, frames of the trajectory.
        field_bytes: of one point of each field.
        place_bytes: of one point's stored coordinates and number; 0 on a grid.
    """

    grid: tuple[int, ...] | None
    points: int
    steps: int
    field_bytes: tuple[int, ...]
    place_bytes: int = 0


@dataclass(frozen=True)
class Cost:
    """Of the query points of one frame, in decoded bytes.

    Attributes:
        blocks, block_points, chunk_rows: B, P, k (of the field with the widest points).
        queries, drawn: Q, m.
        frame: of all points of the frame.
        used: of the Q points.
        read: of the chunks that hold them, each shared by its k frames.
        chunks: number of them.
    """

    blocks: int
    block_points: int
    chunk_rows: int
    queries: int
    drawn: int
    frame: int
    used: int
    read: float
    chunks: float

    @property
    def total(self) -> float:
        """Bytes read and what reading chunks costs beside them."""
        return self.read + CHUNK_COST * self.chunks

    @property
    def chunk_bytes(self) -> float:
        """Mean bytes of a chunk."""
        return self.read / self.chunks


def query_cost(size: FrameSize, blocks: int, ratio: float, chunk_rows: Sequence[int] | None = None) -> Cost:
    """What `ratio * N` points of one frame cost with so many blocks.

    Args:
        chunk_rows: k of each field; None: as the writer would choose them.
    """
    block_points = -(-size.points // blocks)
    blocks = blocks if size.grid is not None else -(-size.points // block_points)
    queries = max(1, round(ratio * size.points))
    drawn = min(blocks, -(-queries // block_points))
    read, count, rows = 0.0, 0.0, 1
    if chunk_rows is None:
        chunk_rows = [_chunk_rows(size, block_points * b, blocks) for b in size.field_bytes]
    widths = list(zip(size.field_bytes, chunk_rows, strict=True))
    widths += [(size.place_bytes, 1)] * (size.place_bytes > 0)
    for width, k in widths:
        share = 1 - (1 - drawn / blocks) ** k
        read += share * size.points * width
        count += share * blocks / k
        rows = k if width == max(size.field_bytes) else rows
    width = sum(size.field_bytes) + size.place_bytes
    return Cost(blocks, block_points, rows, queries, drawn, size.points * width, queries * width, read, count)


def candidates(size: FrameSize, ratio: float) -> list[int]:
    """Numbers of blocks to try: s^d on a grid; else powers of two, and those that cut a draw into whole blocks."""
    most = min(size.points, MAX_BLOCKS)
    axes = len(size.grid) if size.grid is not None else 1
    if axes > 1:
        return [s**axes for s in range(1, int(most ** (1 / axes) + 1e-9) + 1)]
    whole = {round(n / ratio) for n in (1, 2, 4, 8)}
    return sorted(b for b in whole | {2**i for i in range(13)} if b <= most)


@dataclass(frozen=True)
class Suggestion:
    """Numbers of blocks with what they cost, and the one to take.

    Attributes:
        costs: of the numbers tried, ascending, each summed over the sets of points.
        chosen: one of them.
        why: a sentence or two.
    """

    costs: list[Cost]
    chosen: Cost
    why: str


def suggest(sizes: Sequence[FrameSize], ratio: float) -> Suggestion:
    """The fewest blocks that read hardly more than the best number does.

    Args:
        sizes: one for each set of points of a trajectory.
        ratio: queries ÷ points.
    """
    largest = max(sizes, key=lambda s: s.points * (sum(s.field_bytes) + s.place_bytes))
    costs = [summed([query_cost(s, b, ratio) for s in sizes]) for b in candidates(largest, ratio)]
    least = min(c.total for c in costs)
    chosen = next(c for c in costs if c.total <= CLOSE * least)
    return Suggestion(costs, chosen, _why(costs, chosen))


def trajectory_sizes(run: Trajectory, cast: str | None = None) -> list[FrameSize]:
    """One for each set of points of a trajectory, from its shapes and dtypes alone.

    Raises:
        UpsDataError: it has no fields that change in time, or a dtype needs a cast.
    """
    read = Run(
        run.fields,
        run.static,
        run.time,
        dict(run.params),
        run.coords,
        run.sets,
        run.axes,
        run.key,
        run.source,
        run.units,
    )
    sizes = []
    for name in read.coords or [None]:
        frames = {n: a.shape[1:] for n, a in read.fields.items()} | {n: a.shape for n, a in read.static.items()}
        frames = {n: shape for n, shape in frames.items() if read.set_of[n] == name}
        dtypes = {n: stored_dtype(a.dtype, cast, f"field {n!r}") for n, a in (read.fields | read.static).items()}
        widths = tuple(shape[-1] * dtypes[n].itemsize for n, shape in frames.items())
        shape = next(iter(frames.values()), ())[:-1]
        if name in read.coords:
            place = 4 * read.coords[name].shape[-1] + 4
            sizes.append(FrameSize(None, read.num_points(name), read.steps, widths, place))
        else:
            sizes.append(FrameSize(shape, math.prod(shape), read.steps, widths))
    return [s for s in sizes if s.field_bytes]


def dataset_cost(manifest: Manifest, ratio: float) -> Cost:
    """What the query points of one frame, the largest, cost in a dataset that is written."""
    steps = max(n for split in manifest.splits.values() for shard in split.shards for n in shard.steps)
    costs = []
    for name in manifest.set_names:
        specs = [f for f in manifest.fields if f.point_set == name]
        widths, rows, place = _stored_arrays(manifest, name, specs)
        if manifest.grid is not None:
            size = FrameSize(manifest.grid.shape, manifest.num_points, steps, widths)
        elif specs:
            points = max(manifest.max_points(split, name) for split in manifest.splits)
            size = FrameSize(None, points, steps, widths, place)
        else:
            continue
        blocks = manifest.num_blocks(size.points, name)
        costs.append(query_cost(size, blocks, ratio, rows))
    return summed(costs)


def _stored_arrays(
    manifest: Manifest, set_name: str | None, specs: Sequence[FieldSpec]
) -> tuple[tuple[int, ...], list[int], int]:
    """Of each array that holds fields of a set: bytes of a point, and rows of a chunk. At last the bytes of a point's
    coordinates and number where they are stored apart."""
    arrays: dict[str, tuple[int, int]] = {}
    dim = 0 if manifest.grid is not None else manifest.point_set(set_name).dim
    place = 4 * dim + 4
    for spec in specs:
        name = manifest.pack_of(spec.name) or spec.name
        pack = (manifest.packs or {}).get(name)
        width, rows = arrays.get(name, (0, spec.chunk_rows if pack is None else pack.chunk_rows))
        if pack is not None and not width:
            inside = 4 * dim * pack.coords + 4 * pack.index
            width, place = inside, place - inside
        arrays[name] = width + spec.point_bytes, rows
    return tuple(width for width, _ in arrays.values()), [rows for _, rows in arrays.values()], place


def _chunk_rows(size: FrameSize, block_bytes: int, blocks: int) -> int:
    """As the writer chooses them."""
    if blocks > 1:
        return chunks.rows_of_block_chunk(block_bytes, size.steps)
    if size.grid is None:
        return chunks.rows_of_block_chunk(block_bytes, size.steps, chunks.WHOLE_FRAMES)
    return chunks.rows_of_chunk(block_bytes, size.steps, chunks.WHOLE_FRAMES)


def summed(costs: Sequence[Cost]) -> Cost:
    """The cost of several sets of points; blocks and chunks are those of the largest."""
    first = max(costs, key=lambda c: c.frame)
    return Cost(
        first.blocks,
        first.block_points,
        first.chunk_rows,
        sum(c.queries for c in costs),
        first.drawn,
        sum(c.frame for c in costs),
        sum(c.used for c in costs),
        sum(c.read for c in costs),
        sum(c.chunks for c in costs),
    )


def _why(costs: Sequence[Cost], chosen: Cost) -> str:
    place = list(costs).index(chosen)
    if chosen.blocks == 1:
        said = f"A whole frame is {_kb(chosen.frame)}, hardly more than what any blocks would read."
    else:
        said = (
            f"A draw of {chosen.queries:,} points takes {chosen.drawn} of {chosen.blocks} blocks: {_kb(chosen.read)} "
            f"read for {_kb(chosen.used)} used, instead of the frame's {_kb(chosen.frame)}."
        )
    for other in (*costs[place - 1 : place], *costs[place + 1 : place + 2]):
        said += f" With {other.blocks} it would read {_kb(other.read)}"
        said += f" in {other.chunks:.0f} chunks." if other.chunks > 1.5 else "."
    return said


def _kb(size: float) -> str:
    return f"{size / 1e3:,.1f} kB"
