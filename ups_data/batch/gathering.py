"""The batch of a block: the only copy, of frames that were fetched, to the points that were drawn."""

import numpy as np
import torch
from torch import Tensor

from ups_data.batch.frames import RepeatedFrame, scaled
from ups_data.batch.listing import Draws, every, is_full, is_padded, reads_no_index
from ups_data.batch.off_grid import off_grid_set
from ups_data.batch.samples import TORCH_DTYPES, SampleBlock
from ups_data.batch.types import EncoderInput, QueryBatch, QuerySet
from ups_data.batch.wanted import Copy, Fetched, SetCopies
from ups_data.points.part import Part
from ups_data.points.unit import UnitScale
from ups_data.sampling import Draw, Stream


def gather(block: SampleBlock, draws: Draws, fetched: Fetched) -> QueryBatch:
    """Make a batch of all samples of a block. Nothing is read.

        draws = draw(block)
        batch = gather(block, draws, pool.fetch(wanted(block, draws)))

    Args:
        draws: what `draw(block)` drew.
        fetched: what `wanted(block, draws)` lists.

    Raises:
        UpsDataError: files were changed while they were copied from, or what is decoded now is damaged.
    """
    made, recipe = _Made(block, fetched), block.recipe
    if not recipe.encodes:
        inputs = made.nothing()
    else:
        inputs = made.dense() if recipe.dense else made.encoder_points(draws[Stream.INPUTS])
    queries = {s: made.queries(s, draws[s]) for s in Stream if s in draws and s is not Stream.INPUTS}
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


def _weight(lead: tuple[int, ...], queries: int, weight: np.ndarray | None = None) -> Tensor:
    """`(*lead, Q)` float32; a view that takes no memory where all are 1."""
    if weight is None:
        return torch.from_numpy(np.ones((), np.float32)).expand(*lead, queries)
    return torch.from_numpy(weight).view(*lead, queries)


class _Made:
    """The sets of one batch, and the tensors that they have in common."""

    def __init__(self, block: SampleBlock, fetched: Fetched) -> None:
        self._block, self._fetched, self._memory = block, fetched, block.recipe.memory
        self._scale = block.recipe.scale
        self._tensors: dict[Copy, Tensor] = {}

    def nothing(self) -> EncoderInput:
        """No points, of no field."""
        positions, domain = self._block.target_positions, self._block.domains[0]
        dim = np.asarray(domain.coords).shape[1] if positions is None else positions.coords.channels
        return EncoderInput({}, torch.empty(1, 0, dim), scale=self._scale)

    def dense(self) -> EncoderInput:
        """All points of the input frames, or every s-th point of a grid along each axis, as a grid."""
        block, copies = self._block, self._fetched.wanted.sets[Stream.INPUTS]
        values = {name: self._tensor(copy) for name, copy in copies.values.items()}
        grid_shape = block.domains[0].grid_shape
        if block.recipe.input_stride > 1:
            index, coarse = every(grid_shape or (), block.recipe.input_stride)
            coords = np.asarray(block.domains[0].coords)[index][None]
            mask = self._counted()
            return EncoderInput(values, torch.from_numpy(coords), coarse, None if mask is None else mask[..., index])
        if block.masks:
            return EncoderInput(values, self._all_coords(copies), grid_shape, self._counted(), self._scale)
        counts = np.array([d.num_points for d in block.domains])
        mask = torch.from_numpy(np.arange(counts.max()) < counts[:, None]) if len(set(counts.tolist())) > 1 else None
        return EncoderInput(values, self._all_coords(copies), grid_shape, mask, self._scale)

    def _counted(self) -> Tensor | None:
        """Which points of the encoder's dense input count, `(B, N)`, or `(B, S, N)` where that changes between the S
        input steps; False behind those of smaller trajectories. None: all count in every trajectory."""
        domains, samples = self._block.masks.get(Stream.INPUTS), len(self._block)
        if domains is None:
            return None
        steps = len(domains) // samples
        if not self._block.recipe.mask_moves:
            domains, steps = domains[steps - 1 :: steps], 1
        counted = np.zeros((len(domains), max(d.all_points for d in domains)), bool)
        for row, domain in zip(counted, domains, strict=True):
            row[: domain.all_points] = domain.counted if isinstance(domain, Part) else True
        return torch.from_numpy(counted if steps == 1 else counted.reshape(samples, steps, -1))

    def encoder_points(self, draw: Draw) -> EncoderInput:
        """The points drawn for the encoder."""
        if reads_no_index(self._block, draw):
            copies = self._fetched.wanted.sets[Stream.INPUTS]
            assert copies.coords is not None
            return EncoderInput(
                fields={name: self._tensor(copy) for name, copy in copies.values.items()},
                coords=self._positions(copies.coords),
                scale=self._scale,
            )
        drawn = self.queries(Stream.INPUTS, draw)
        return EncoderInput(drawn.values, drawn.coords, drawn.grid_shape, drawn.mask, drawn.scale)

    def queries(self, stream: Stream, draw: Draw) -> QuerySet:
        """The frames' values and coordinates at the points drawn."""
        block, copies = self._block, self._fetched.wanted.sets[stream]
        rows, queries = draw.shape
        lead = self._lead(rows)
        if draw.offset is not None:
            weight = self._weight(stream, draw, lead)
            return off_grid_set(block, draw, copies.values, self._fetched, weight, block.masks.get(stream))
        if is_full(block, draw):
            return self._every_point(copies, lead, self._weight(stream, draw, lead))
        index = draw.index if copies.index is None else self._numbers(copies.index, draw)
        assert index is not None
        coords = self._grid_coords(draw, lead, index) if copies.coords is None else self._positions(copies.coords)
        return QuerySet(
            coords=coords,
            values={name: self._tensor(copy) for name, copy in copies.values.items()},
            index=torch.from_numpy(index).view(*lead, queries),
            weight=self._weight(stream, draw, lead),
            grid_shape=draw.grid_shape,
            mask=self._mask(draw, lead),
            scale=self._scale,
        )

    def _weight(self, stream: Stream, draw: Draw, lead: tuple[int, ...]) -> Tensor:
        """`(*lead, Q)`: the draw's weights, times the points' cells where they estimate integrals."""
        measure, rows = self._block.measures.get(stream), draw.shape
        if measure is None:
            return _weight(lead, rows[1], draw.weight)
        weight, copy = self._memory.tensor((*lead, rows[1]), torch.float32), self._fetched.wanted.sets[stream].sizes
        sizes = None if copy is None else self._tensor(copy).numpy().reshape(rows)
        measure.weigh(weight.numpy().reshape(rows), draw, sizes)
        return weight

    def _mask(self, draw: Draw, lead: tuple[int, ...]) -> Tensor | None:
        """`(*lead, Q)`, False where a row is padded, and at points of a lattice that do not count; None: nowhere."""
        weight, block = _weight(lead, draw.shape[1], draw.weight), self._block
        some = is_padded(block) or (bool(block.masks) and draw.weight is not None and bool((weight == 0).any()))
        return weight > 0 if some else None

    def _every_point(self, copies: SetCopies, lead: tuple[int, ...], weight: Tensor) -> QuerySet:
        """Every point in row-major order: index and weight, and a grid's coordinates, are views that take no memory."""
        domain = self._block.domains[0]
        values = {name: self._tensor(copy) for name, copy in copies.values.items()}
        coords = self._all_coords(copies)
        if coords.ndim <= len(lead) + 1:
            coords = coords[:, None]
        index = torch.from_numpy(np.arange(domain.num_points))
        return QuerySet(
            coords=coords.expand(*lead, *coords.shape[-2:]),
            values=values,
            index=index.expand(*lead, domain.num_points),
            weight=weight,
            grid_shape=domain.grid_shape,
            scale=self._scale,
        )

    def _lead(self, rows: int) -> tuple[int, ...]:
        """The shape of so many frames: (B,), or (B, S) where a sample has several."""
        samples = len(self._block)
        return (samples,) if rows == samples else (samples, rows // samples)

    def _positions(self, copy: Copy) -> Tensor:
        """`_tensor` of a point set's stored coordinates, scaled if that is asked for."""
        return self._tensor(copy, self._scale)

    def _tensor(self, copy: Copy, scale: UnitScale | None = None) -> Tensor:
        """`(*lead, Q, C)` of the points drawn, or `(*lead, N, C)` of whole frames, N of the largest."""
        made = self._tensors.get(copy)
        if made is not None:
            return made
        frames, draw = copy.frames, copy.draw
        points = max(d.num_points for d in self._block.domains) if draw is None else draw.shape[1]
        shape = (points, frames.channels)
        tensor = self._memory.tensor((*self._lead(len(frames)), *shape), TORCH_DTYPES[frames.dtype])
        out, source = tensor.numpy().reshape(-1, *shape), self._fetched.source(copy.read)
        if scale is not None:
            source = scaled(source, scale)
        if draw is None:
            frames.copy_to(out, source)
        else:
            frames.take_to(out, draw, source)
        self._tensors[copy] = tensor
        return tensor

    def _numbers(self, copy: Copy, draw: Draw) -> np.ndarray:
        """The numbers of points that were drawn by their places in blocks, `(rows, Q)` int64."""
        index = self._memory.tensor(draw.shape, torch.int64).numpy()
        copy.frames.take_numbers_to(index, draw, self._fetched.source(copy.read))
        return index

    def _grid_coords(self, draw: Draw, lead: tuple[int, ...], index: np.ndarray) -> Tensor:
        """The coordinates of points drawn from a grid, `(*lead, Q, d)`: of blocks from a table in their order, whose
        parts are long runs."""
        domain = self._block.domains[0]
        if draw.blocks is not None and domain.blocks is not None:
            frames, rows = RepeatedFrame(domain.coords_in_blocks, len(index), domain.blocks.block_points), draw
        else:
            frames, rows = RepeatedFrame(np.asarray(domain.coords, np.float32), len(index)), Draw(index)
        return self._tensor(Copy(frames, rows, frames.wants(rows)))

    def _all_coords(self, copies: SetCopies) -> Tensor:
        """Coordinates of all points, (1, N, d) for a grid and (B, N, d) for point sets."""
        if copies.coords is None:
            return torch.from_numpy(np.asarray(self._block.domains[0].coords)[None])
        return self._positions(copies.coords)
