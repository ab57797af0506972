"""`query_collate`: draw the queries of a whole batch, and make the only copy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups_data.batch.frames import Frames, Positions, RepeatedFrame
from ups_data.batch.off_grid import off_grid_set
from ups_data.batch.samples import TORCH_DTYPES, Memory, Sample, SampleBlock, stack
from ups_data.batch.types import EncoderInput, QueryBatch, QuerySet
from ups_data.hashing import absorb
from ups_data.points.domain import Domain
from ups_data.sampling import Draw, QuerySampling, Stream, draw_queries, sample_keys

Draws = Mapping[Stream, Draw]


def query_collate(samples: Sequence[Sample]) -> QueryBatch:
    """Make a batch of samples of one `QueryDataset` and one epoch.

    Raises:
        UpsDataError: the sampling asks for more points than there are, or stored bytes are damaged.
    """
    return collate_block(stack(samples))


def collate_block(block: SampleBlock, draws: Draws | None = None) -> QueryBatch:
    """Make a batch of all samples of a block, with points that `draw_block` drew or, by default, draws here."""
    recipe = block.recipe
    draws = draw_block(block) if draws is None else draws
    last_input = {name: _last(frames, len(block)) for name, frames in block.inputs.items()}
    inputs = _dense_input(block) if recipe.inputs is None else _sampled_input(block, draws[Stream.INPUTS], last_input)
    sets = {
        Stream.INPUT_QUERIES: (last_input, block.input_positions, inputs),
        Stream.TARGET_QUERIES: (block.targets, block.target_positions, None),
        Stream.LATTICE_QUERIES: ({}, None, None),
    }
    queries = {s: _query_set(block, draws[s], *sets[s]) for s in sets if s in draws}
    dt = torch.from_numpy(block.dt.astype(np.float32))
    params = torch.from_numpy(block.params.astype(np.float32))
    batch = QueryBatch(
        inputs=inputs,
        input_queries=queries.get(Stream.INPUT_QUERIES),
        target_queries=queries[Stream.TARGET_QUERIES],
        lattice_queries=queries.get(Stream.LATTICE_QUERIES),
        time=torch.from_numpy(block.time.astype(np.float32)),
        dt=dt[:, 0] if block.horizon == 1 else dt,
        params={name: params[:, i] for i, name in enumerate(recipe.params)},
        trajectory=torch.from_numpy(block.trajectory),
        step=torch.from_numpy(block.step),
        epoch=block.epoch,
    )
    return batch if block.valid is None else batch.only(torch.from_numpy(block.valid))


def draw_block(block: SampleBlock) -> dict[Stream, Draw]:
    """Draw the points of every query set that the recipe asks for; frames in the order of the block's lists.

    A sample's points depend on the sample alone, so a block may be drawn at once and collated in parts.
    """
    recipe = block.recipe
    samplings: dict[Stream, QuerySampling | None] = {
        Stream.INPUTS: recipe.inputs,
        Stream.INPUT_QUERIES: recipe.sampling if recipe.input_queries else None,
        Stream.TARGET_QUERIES: recipe.sampling,
        Stream.LATTICE_QUERIES: recipe.lattice_sampling if recipe.lattice_queries else None,
    }
    draws = {}
    for stream, sampling in samplings.items():
        if sampling is None:
            continue
        steps = block.target_steps if stream is Stream.TARGET_QUERIES else block.step[:, None]
        trajectory = np.repeat(block.trajectory, steps.shape[1])
        keys = sample_keys(recipe.seed, block.epoch, trajectory, steps.ravel(), stream)
        if block.repetition.any():
            again = np.repeat(block.repetition, steps.shape[1])
            keys = np.where(again > 0, absorb(keys, again), keys)
        draws[stream] = _drawn(recipe.fixed(sampling, block.moment), block, keys, block.importance.get(stream))
    return draws


def _drawn(sampling: QuerySampling, block: SampleBlock, keys: np.ndarray, importance: np.ndarray | None) -> Draw:
    """One row for each key, sample by sample. Samples that share their points are drawn at once."""

    def draw(domain: Domain, rows: np.ndarray | slice) -> Draw:
        # A domain of fewer points than there are tiles has one for each point.
        tiles = None if importance is None else importance[rows, : domain.num_points]
        return draw_queries(sampling, domain, keys[rows], block.moment, tiles)

    members: dict[int, list[int]] = {}
    for number, domain in enumerate(block.domains):
        members.setdefault(id(domain), []).append(number)
    if len(members) == 1:
        return draw(block.domains[0], slice(None))
    rows = np.arange(len(keys)).reshape(len(block.domains), -1)  # of each sample
    of_domain = [rows[numbers].ravel() for numbers in members.values()]
    domains = [block.domains[numbers[0]] for numbers in members.values()]
    found = [draw(d, r) for d, r in zip(domains, of_domain, strict=True)]
    joined, place = _joined(found), np.argsort(np.concatenate(of_domain))
    return _with_rows(joined, {name: array[place] for name, array in _rows(joined).items()})


def _joined(draws: list[Draw]) -> Draw:
    """The rows of several draws. Shorter rows are padded: with the first point and weight 0, and with blocks -1.

    The other weights of a padded row grow, so that its mean over all Q remains an estimate of the dense mean.
    """
    most = max(d.shape[1] for d in draws)
    if any(d.shape[1] < most for d in draws):
        draws = [_padded(d, most) for d in draws]
    if any(d.weight is not None for d in draws):  # where all points of a frame were drawn, it has none
        draws = [d if d.weight is not None else replace(d, weight=np.ones(d.shape, np.float32)) for d in draws]
    columns = {name: [_rows(d)[name] for d in draws] for name in _rows(draws[0])}
    if "blocks" in columns:
        most = max(rows.shape[1] for rows in columns["blocks"])
        columns["blocks"] = [
            np.pad(rows, ((0, 0), (0, most - rows.shape[1])), constant_values=-1) for rows in columns["blocks"]
        ]
    joined = _with_rows(draws[0], {name: np.concatenate(arrays) for name, arrays in columns.items()})
    return replace(joined, whole_blocks=all(d.whole_blocks for d in draws))


def _padded(draw: Draw, queries: int) -> Draw:
    rows, drawn = draw.shape
    weight = np.zeros((rows, queries), np.float32)
    weight[:, :drawn] = queries / drawn * (1.0 if draw.weight is None else draw.weight)
    behind = ((0, 0), (0, queries - drawn))
    more = {n: np.pad(a, (*behind, *[(0, 0)] * (a.ndim - 2))) for n, a in _rows(draw).items() if n != "blocks"}
    return replace(_with_rows(draw, {**more, "weight": weight}), whole_blocks=False)


def _rows(draw: Draw) -> dict[str, np.ndarray]:
    """What a draw has one row of for each frame."""
    values = {f.name: getattr(draw, f.name) for f in fields(draw)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _with_rows(draw: Draw, rows: dict[str, Any]) -> Draw:
    return replace(draw, **rows)


def _last(frames: Frames, samples: int) -> Frames:
    """Each sample's last frame."""
    steps = len(frames) // samples
    return frames if steps == 1 else frames.part(steps - 1, len(frames), steps)


def _dense_input(block: SampleBlock) -> EncoderInput:
    if block.recipe.input_stride > 1:
        return _coarse_input(block)
    values = {name: _copied(frames, _lead(frames, block), block) for name, frames in block.inputs.items()}
    counts = [d.num_points for d in block.domains]
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None] if len(set(counts)) > 1 else None
    coords = _dense_coords(block, block.input_positions)
    return EncoderInput(fields=values, coords=coords, grid_shape=block.domains[0].grid_shape, mask=mask)


def _sampled_input(block: SampleBlock, draw: Draw, fields: Mapping[str, Frames]) -> EncoderInput:
    """The points drawn for the encoder; which they are is read only where their coordinates ask for it."""
    positions = block.input_positions
    if draw.index is None and positions is not None and not _is_padded(block):
        lead, memory = (len(block),), block.recipe.memory
        return EncoderInput(
            fields={name: _taken(frames, lead, draw, memory) for name, frames in fields.items()},
            coords=_taken(positions.coords, lead, draw, memory),
        )
    drawn = _query_set(block, draw, fields, positions)
    return EncoderInput(drawn.values, drawn.coords, drawn.grid_shape, drawn.mask)


def _coarse_input(block: SampleBlock) -> EncoderInput:
    """Every s-th point of a grid along each axis, as a grid."""
    domain, memory = block.domains[0], block.recipe.memory
    index, shape = _every(domain.grid_shape or (), block.recipe.input_stride)
    values = {}
    for name, frames in block.inputs.items():
        rows = Draw(np.broadcast_to(index, (len(frames), len(index))))
        values[name] = _taken(frames, _lead(frames, block), rows, memory)
    return EncoderInput(values, torch.from_numpy(np.asarray(domain.coords)[index][None]), shape)


@lru_cache
def _every(grid_shape: tuple[int, ...], stride: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The numbers of every `stride`-th point along each axis, and the shape of the grid that they form."""
    numbers = np.arange(math.prod(grid_shape)).reshape(grid_shape)[(slice(None, None, stride),) * len(grid_shape)]
    return numbers.ravel(), numbers.shape


def _lead(frames: Frames, block: SampleBlock) -> tuple[int, ...]:
    """(B,), or (B, S) where a sample has several frames."""
    steps = len(frames) // len(block)
    return (len(block), steps) if steps > 1 else (len(block),)


def _query_set(
    block: SampleBlock,
    draw: Draw,
    fields: Mapping[str, Frames],
    positions: Positions | None,
    dense: EncoderInput | None = None,
) -> QuerySet:
    """Gather the frames' values and coordinates at the points drawn.

    Args:
        fields: field → one frame for each row of the draw.
        positions: likewise, None where the domain has them.
        dense: the encoder's input, whose tensors are these very frames where all points are drawn.
    """
    rows, queries = draw.shape
    lead = (len(block),) if rows == len(block) else (len(block), rows // len(block))
    if draw.offset is not None:
        return off_grid_set(block, draw, lead, fields)
    if queries == block.domains[0].num_points and draw.index is not None and draw.index.strides[0] == 0:
        return _full_query_set(block, lead, fields, positions, dense)  # every point, in order
    memory = block.recipe.memory
    index = draw.index if draw.index is not None else _read_index(positions, draw, memory)
    if positions is None:
        coords = _grid_coords(block, draw, lead, index)
    else:
        coords = _taken(positions.coords, lead, draw, memory)
    weight = torch.ones(()) if draw.weight is None else torch.from_numpy(draw.weight).view(*lead, queries)
    return QuerySet(
        coords=coords,
        values={name: _taken(frames, lead, draw, memory) for name, frames in fields.items()},
        index=torch.from_numpy(index).view(*lead, queries),
        weight=weight.expand(*lead, queries),
        grid_shape=draw.grid_shape,
        mask=(weight > 0).expand(*lead, queries) if _is_padded(block) else None,
    )


def _is_padded(block: SampleBlock) -> bool:
    """Whether rows may be shorter than others."""
    return block.recipe.fewest is None and len({d.num_points for d in block.domains}) > 1


def _read_index(positions: Positions | None, draw: Draw, memory: Memory) -> np.ndarray:
    """The numbers of points that were drawn by their places in blocks, `(rows, Q)` int64."""
    if positions is None or positions.index is None:
        raise ValueError("the points of these blocks are not known, and not stored")
    index = memory.tensor(draw.shape, torch.int64).numpy()
    positions.index.take_numbers_to(index, draw)
    return index


def _full_query_set(
    block: SampleBlock,
    lead: tuple[int, ...],
    fields: Mapping[str, Frames],
    positions: Positions | None,
    dense: EncoderInput | None,
) -> QuerySet:
    """Every point in row-major order: index and weight, and a grid's coordinates, are views that take no memory."""
    points = block.domains[0].num_points
    values = {}
    for name, frames in fields.items():
        copied = None if dense is None else dense.fields.get(name)
        if copied is None or copied.shape != (*lead, points, frames.channels):
            copied = _copied(frames, lead, block)
        values[name] = copied
    if dense is not None and dense.coords.shape[-2] == points:
        coords = dense.coords
    elif positions is None:
        coords = _dense_coords(block, None)
    else:
        coords = _copied(positions.coords, lead, block)
    if coords.ndim <= len(lead) + 1:
        coords = coords[:, None]
    return QuerySet(
        coords=coords.expand(*lead, *coords.shape[-2:]),
        values=values,
        index=torch.arange(points).expand(*lead, points),
        weight=torch.ones(()).expand(*lead, points),
        grid_shape=block.domains[0].grid_shape,
    )


def _copied(frames: Frames, lead: tuple[int, ...], block: SampleBlock) -> Tensor:
    """Whole frames, `(*lead, N, C)`; N of the largest."""
    shape = (max(d.num_points for d in block.domains), frames.channels)
    tensor = block.recipe.memory.tensor((*lead, *shape), TORCH_DTYPES[frames.dtype])
    frames.copy_to(tensor.numpy().reshape(-1, *shape))
    return tensor


def _taken(frames: Frames, lead: tuple[int, ...], draw: Draw, memory: Memory) -> Tensor:
    """The points drawn of each frame, `(*lead, Q, C)`."""
    shape = (draw.shape[1], frames.channels)
    tensor = memory.tensor((*lead, *shape), TORCH_DTYPES[frames.dtype])
    frames.take_to(tensor.numpy().reshape(-1, *shape), draw)
    return tensor


def _grid_coords(block: SampleBlock, draw: Draw, lead: tuple[int, ...], index: np.ndarray) -> Tensor:
    """The coordinates of points drawn from a grid, `(*lead, Q, d)`: of blocks from a table in their order, whose parts
    are long runs."""
    domain, memory, frames = block.domains[0], block.recipe.memory, len(index)
    if draw.blocks is not None and domain.blocks is not None:
        return _taken(RepeatedFrame(domain.coords_in_blocks, frames, domain.blocks.block_points), lead, draw, memory)
    return _taken(RepeatedFrame(np.asarray(domain.coords, np.float32), frames), lead, Draw(index), memory)


def _dense_coords(block: SampleBlock, positions: Positions | None) -> Tensor:
    """Coordinates of all points, (1, N, d) for a grid and (B, N, d) for point sets."""
    if positions is None:
        return torch.from_numpy(np.asarray(block.domains[0].coords)[None])
    return _copied(positions.coords, (len(block),), block)
