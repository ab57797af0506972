"""`query_collate`: draw the queries of a whole batch, and make the only copy."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ups_data.batch.samples import TORCH_DTYPES, Memory, Sample, SampleBlock, stack
from ups_data.batch.types import EncoderInput, QueryBatch, QuerySet
from ups_data.sampling import Draw, QuerySampling, Stream, draw_queries, sample_keys

Frames = dict[str, list[np.ndarray]]
Draws = Mapping[Stream, Draw]


def query_collate(samples: Sequence[Sample]) -> QueryBatch:
    """Make a batch of samples of one `QueryDataset` and one epoch.

    Raises:
        UpsDataError: the sampling asks for more points than there are.
    """
    return collate_block(stack(samples))


def collate_block(block: SampleBlock, draws: Draws | None = None) -> QueryBatch:
    """Make a batch of all samples of a block, with points that `draw_block` drew or, by default, draws here."""
    recipe = block.recipe
    draws = draw_block(block) if draws is None else draws
    last_input = {name: _last(frames, len(block)) for name, frames in block.inputs.items()}
    if recipe.inputs is None:
        inputs = _dense_input(block)
    else:
        drawn = _query_set(block, draws[Stream.INPUTS], last_input)
        inputs = EncoderInput(fields=drawn.values, coords=drawn.coords, grid_shape=drawn.grid_shape)
    sets = {
        Stream.INPUT_QUERIES: (last_input, inputs),
        Stream.TARGET_QUERIES: (block.targets, None),
        Stream.LATTICE_QUERIES: ({}, None),
    }
    queries = {s: _query_set(block, draws[s], *sets[s]) for s in sets if s in draws}
    dt = torch.from_numpy(block.dt.astype(np.float32))
    params = torch.from_numpy(block.params.astype(np.float32))
    return QueryBatch(
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
        parts = np.array_split(keys, len(block.domains))  # samples that share their points are drawn at once
        found = [draw_queries(sampling, d, k, block.epoch) for d, k in zip(block.domains, parts, strict=True)]
        draws[stream] = found[0] if len(found) == 1 else _joined(found)
    return draws


def part_of_draws(draws: Draws, size: int, start: int, stop: int) -> dict[Stream, Draw]:
    """The draws of samples start to stop - 1 of a block of `size`."""
    parts = {}
    for stream, draw in draws.items():
        per_sample = len(draw.index) // size
        rows = slice(start * per_sample, stop * per_sample)
        weight = None if draw.weight is None else draw.weight[rows]
        parts[stream] = Draw(draw.index[rows], weight, draw.grid_shape)
    return parts


def _joined(draws: list[Draw]) -> Draw:
    index = np.concatenate([d.index for d in draws])
    weights = [d.weight for d in draws if d.weight is not None]
    return Draw(index, np.concatenate(weights) if weights else None, draws[0].grid_shape)


def _last(frames: list[np.ndarray], samples: int) -> list[np.ndarray]:
    """Each sample's last frame."""
    steps = len(frames) // samples
    return frames[steps - 1 :: steps]


def _dense_input(block: SampleBlock) -> EncoderInput:
    fields = {}
    for name, frames in block.inputs.items():
        steps = len(frames) // len(block)
        fields[name] = _copied(frames, (len(block), steps) if steps > 1 else (len(block),), block.recipe.memory)
    return EncoderInput(fields=fields, coords=_dense_coords(block), grid_shape=block.domains[0].grid_shape)


def _query_set(block: SampleBlock, draw: Draw, frames: Frames, dense: EncoderInput | None = None) -> QuerySet:
    """Gather the frames' values and coordinates at the points drawn.

    Args:
        frames: field → one frame for each row of the draw.
        dense: the encoder's input, whose tensors are these very frames where all points are drawn.
    """
    memory, domain = block.recipe.memory, block.domains[0]
    steps = len(draw.index) // len(block)
    lead = (len(block),) if steps == 1 else (len(block), steps)
    queries = draw.index.shape[-1]
    if queries == domain.num_points and draw.index.strides[0] == 0:  # every point, in order
        return _full_query_set(block, lead, frames, dense)

    values = {}
    for name, of_field in frames.items():
        tensor = memory.tensor((*lead, queries, of_field[0].shape[-1]), TORCH_DTYPES[of_field[0].dtype.name])
        out = tensor.numpy().reshape(len(of_field), queries, -1)
        for frame, index, row in zip(of_field, draw.index, out, strict=True):
            # mode="clip" lets numpy write into `out` without a buffer; the indices are in range.
            frame.take(index, 0, row, "clip")
        values[name] = tensor
    weight = torch.ones(()) if draw.weight is None else torch.from_numpy(draw.weight).view(*lead, queries)
    return QuerySet(
        coords=_gathered_coords(block, draw.index).view(*lead, queries, -1),
        values=values,
        index=torch.from_numpy(draw.index).view(*lead, queries),
        weight=weight.expand(*lead, queries),
        grid_shape=draw.grid_shape,
    )


def _full_query_set(block: SampleBlock, lead: tuple[int, ...], frames: Frames, dense: EncoderInput | None) -> QuerySet:
    """Every point in row-major order: coordinates, index and weight are views that take no memory."""
    points = block.domains[0].num_points
    values = {}
    for name, of_field in frames.items():
        copied = None if dense is None else dense.fields.get(name)
        if copied is None or copied.shape != (*lead, *of_field[0].shape):
            copied = _copied(of_field, lead, block.recipe.memory)
        values[name] = copied
    coords = _dense_coords(block)
    if len(lead) > 1:
        coords = coords[:, None]
    return QuerySet(
        coords=coords.expand(*lead, *coords.shape[-2:]),
        values=values,
        index=torch.arange(points).expand(*lead, points),
        weight=torch.ones(()).expand(*lead, points),
        grid_shape=block.domains[0].grid_shape,
    )


def _copied(frames: list[np.ndarray], lead: tuple[int, ...], memory: Memory) -> Tensor:
    """Whole frames, `(*lead, N, C)`."""
    tensor = memory.tensor((*lead, *frames[0].shape), TORCH_DTYPES[frames[0].dtype.name])
    for row, frame in zip(tensor.numpy().reshape(-1, *frames[0].shape), frames, strict=True):
        np.copyto(row, frame)
    return tensor


def _gathered_coords(block: SampleBlock, index: np.ndarray) -> Tensor:
    """Coordinates of the points drawn, `(frames, Q, d)`; one gather where the samples share their points."""
    tables = [np.asarray(d.coords) for d in block.domains]
    tensor = block.recipe.memory.tensor((*index.shape, tables[0].shape[-1]), torch.float32)
    for table, at, out in zip(tables, np.split(index, len(tables)), np.split(tensor.numpy(), len(tables)), strict=True):
        np.take(table, at, axis=0, out=out, mode="clip")
    return tensor


def _dense_coords(block: SampleBlock) -> Tensor:
    """Coordinates of all points, (1, N, d) where the samples share them and (B, N, d) elsewhere."""
    tables = [np.asarray(d.coords) for d in block.domains]
    return torch.from_numpy(tables[0][None] if len(tables) == 1 else np.stack(tables))
