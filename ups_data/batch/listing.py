"""Which reads a block of drawn samples takes: a list, before any of them is made."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ups_data.batch.frames import Frames, Positions, Read
from ups_data.batch.samples import SampleBlock
from ups_data.batch.wanted import Copy, SetCopies, Wanted
from ups_data.sampling import Draw, Stream

Draws = Mapping[Stream, Draw]


def wanted(block: SampleBlock, draws: Draws) -> Wanted:
    """The reads of every field, coordinate and index that a block's batch is made of; nothing is read.

    Args:
        draws: what `draw(block)` drew.
    """
    recipe, samples = block.recipe, len(block)
    last = {name: _last(frames, samples) for name, frames in block.inputs.items()}
    sets: dict[Stream, SetCopies] = {}
    if not recipe.encodes:
        sets[Stream.INPUTS] = SetCopies({})
    elif recipe.dense:
        sets[Stream.INPUTS] = _dense(block)
    elif reads_no_index(block, draws[Stream.INPUTS]):
        sets[Stream.INPUTS] = _points(draws[Stream.INPUTS], last, block.input_positions)
    else:
        sets[Stream.INPUTS] = _queries(block, draws[Stream.INPUTS], last, block.input_positions)
    if Stream.INPUT_QUERIES in draws:
        frames_of = draws[Stream.INPUT_QUERIES], last, block.input_positions
        sets[Stream.INPUT_QUERIES] = _queries(block, *frames_of, shared=sets[Stream.INPUTS])
    frames_of = draws[Stream.TARGET_QUERIES], block.targets, block.target_positions
    sets[Stream.TARGET_QUERIES] = _queries(block, *frames_of)
    if Stream.LATTICE_QUERIES in draws:
        sets[Stream.LATTICE_QUERIES] = SetCopies({})
    for stream, measure in block.measures.items():
        if measure.frames is not None and stream in sets:
            whole = is_full(block, draws[stream])
            sets[stream] = replace(sets[stream], sizes=_copy(measure.frames, None if whole else draws[stream]))
    reads: dict[Read, None] = {copy.read: None for copies in sets.values() for copy in copies if copy.read.chunks}
    return Wanted(list(reads), sets)


def is_full(block: SampleBlock, draw: Draw) -> bool:
    """Whether all points of a frame were drawn, in order, of every sample alike."""
    return (
        draw.shape[1] == block.domains[0].num_points
        and draw.index is not None
        and draw.index.strides[0] == 0
        and draw.offset is None
    )


def is_padded(block: SampleBlock) -> bool:
    """Whether rows may be shorter than others."""
    domains = [block.domains, *block.masks.values()]
    return block.recipe.fewest is None and any(len({d.num_points for d in of_set}) > 1 for of_set in domains)


def reads_no_index(block: SampleBlock, draw: Draw) -> bool:
    """Whether points drawn for the encoder come without their numbers, which only their coordinates would ask for."""
    return draw.index is None and block.input_positions is not None and not is_padded(block)


@lru_cache
def every(grid_shape: tuple[int, ...], stride: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The numbers of every `stride`-th point along each axis, and the shape of the grid that they form."""
    numbers = np.arange(math.prod(grid_shape)).reshape(grid_shape)[(slice(None, None, stride),) * len(grid_shape)]
    return numbers.ravel(), numbers.shape


def _dense(block: SampleBlock) -> SetCopies:
    """Whole frames, or every s-th point of a grid along each axis."""
    if block.recipe.input_stride > 1:
        index, _ = every(block.domains[0].grid_shape or (), block.recipe.input_stride)
        rows = {n: Draw(np.broadcast_to(index, (len(f), len(index)))) for n, f in block.inputs.items()}
        return SetCopies({name: _copy(frames, rows[name]) for name, frames in block.inputs.items()})
    positions = block.input_positions
    return SetCopies(
        {name: _copy(frames) for name, frames in block.inputs.items()},
        coords=None if positions is None else _copy(positions.coords),
    )


def _points(draw: Draw, fields: Mapping[str, Frames], positions: Positions | None) -> SetCopies:
    """The points drawn of each frame, and where they are."""
    return SetCopies(
        {name: _copy(frames, draw) for name, frames in fields.items()},
        coords=None if positions is None else _copy(positions.coords, draw),
    )


def _queries(
    block: SampleBlock,
    draw: Draw,
    fields: Mapping[str, Frames],
    positions: Positions | None,
    shared: SetCopies | None = None,
) -> SetCopies:
    """The copies of one query set.

    Args:
        fields: field → one frame for each row of the draw.
        positions: likewise, None where the domain has them.
        shared: the copies of the encoder's input, of which those of these very frames serve where all points are drawn.
    """
    if is_full(block, draw):
        whole = [] if shared is None else [c for c in shared if c.draw is None]
        made = {id(copy.frames): copy for copy in whole}
        return SetCopies(
            {name: made.get(id(frames)) or _copy(frames) for name, frames in fields.items()},
            coords=None if positions is None else made.get(id(positions.coords)) or _copy(positions.coords),
        )
    if draw.offset is not None:  # every point's neighbours; a grid has its coordinates in memory
        return _points(draw, fields, None)
    points = _points(draw, fields, positions)
    if draw.index is not None:
        return points
    if positions is None or positions.index is None:
        raise ValueError("the points of these blocks are not known, and not stored")
    return SetCopies(points.values, points.coords, index=_copy(positions.index, draw))


def _copy(frames: Frames, draw: Draw | None = None) -> Copy:
    return Copy(frames, draw, frames.wants(draw))


def _last(frames: Frames, samples: int) -> Frames:
    """Each sample's last frame."""
    steps = len(frames) // samples
    return frames if steps == 1 else frames.part(steps - 1, len(frames), steps)
