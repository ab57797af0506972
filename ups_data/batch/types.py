"""`QueryBatch`: what a training step receives."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ups_data.batch.latents import Latents
from ups_data.batch.records import Record, map_tensors, split_tensors
from ups_data.batch.shapes import counted, on_grid, picked, source_coords
from ups_data.errors import UpsDataError
from ups_data.points.unit import UnitScale


@dataclass(frozen=True, repr=False)
class QuerySet(Record):
    """Points drawn from one frame per sample, with the fields' values there.

    For a horizon K > 1 every tensor has a step axis behind the batch axis: `(B, K, Q, ...)`.

    Attributes:
        coords: `(B, Q, d)` float32, components x, y(, z).
        values: field → `(B, Q, C)`.
        index: `(B, Q)` int64, row-major point numbers.
        weight: `(B, Q)` float32, Q / (N π) with π the inclusion probability: mean 1 in expectation, and a weighted mean
            over the queries is an unbiased estimate of that over all N points; by volume if `measure` says so.
        grid_shape: the shape of the lattice that the Q points form, in array order; None if they form none.
        mask: `(B, Q)` bool, False where a row is padded (the weight is 0 there); None if no row is padded.
        scale: how `coords` of a point set were scaled (`LoaderOptions.coords`); None: as they are stored, or of a grid.
    """

    coords: Tensor
    values: dict[str, Tensor]
    index: Tensor
    weight: Tensor
    grid_shape: tuple[int, ...] | None = None
    mask: Tensor | None = None
    scale: UnitScale | None = None

    def source_coords(self) -> Tensor:
        """`coords` of a point set in the source's units, float64: the inverse of `LoaderOptions.coords`. Raises
        UpsDataError if they are a grid's, whose axes are in the manifest, or were not scaled."""
        return source_coords(self.coords, self.scale)

    def split(self, points: int) -> "tuple[QuerySet, QuerySet]":
        """The first points of every sample, and the others: two sets, as views, say anchors and queries.

            sampling = QuerySampling(num_queries=4096, order="random")
            anchors, queries = batch.target_queries.split(512)  # (B, 512, …) and (B, 3584, …)

        Draw them with `QuerySampling(order="random")`. Only there is every point as likely among the first as among the
        others, so that the weighted mean over each part is an unbiased estimate of the dense mean: with inclusion
        probability π in the whole set, a point is among the first m of Q with probability π m / Q, and its weight
        there, (m / N) / (π m / Q), is the one that it has in the whole. In order "stored" the first points are those of
        a part of the domain.

        Padded rows (`mask`) have their points first; the weights of each part grow so that they still estimate the
        dense mean.

        Args:
            points: m, of the first part; fewer than any sample has.

        Raises:
            UpsDataError: a part would be empty in some sample.
        """
        drawn = self.index.shape[-1]
        most = drawn if self.mask is None else int(self.mask.sum(-1).min())
        if not 0 < points < most:
            raise UpsDataError(f"split: {points} of at least {most} points of each sample: give 1 to {most - 1}")
        first, others = self.columns(0, points), self.columns(points, drawn)
        if self.mask is None:
            return first, others
        share = self.mask.sum(-1, keepdim=True) / drawn  # of a row that its points take; their weights are 1 / share
        parts = []
        for part in (first, others):
            assert part.mask is not None
            size = part.mask.shape[-1]
            parts.append(replace(part, weight=part.weight * share * size / part.mask.sum(-1, keepdim=True)))
        return parts[0], parts[1]

    def columns(self, start: int, stop: int) -> "QuerySet":
        """Points start to stop - 1 of every row, as views."""
        axis, length = self.index.dim() - 1, stop - start
        values = {name: v.narrow(axis, start, length) for name, v in self.values.items()}
        index, weight = self.index.narrow(axis, start, length), self.weight.narrow(axis, start, length)
        mask = None if self.mask is None else self.mask.narrow(axis, start, length)
        return QuerySet(self.coords.narrow(axis, start, length), values, index, weight, None, mask, self.scale)

    def to_grid(self, name: str) -> Tensor:
        """A field as `(B, C, *grid)`, or `(B, K, C, *grid)` for a horizon K > 1: a view, for convolutions.

        Raises:
            UpsDataError: the points form no grid: they are neither all points of one, nor a lattice.
        """
        return on_grid(self.values, name, self.grid_shape, "this query set")

    def of(self, dense: Tensor, *, channels_last: bool = False) -> Tensor:
        """What a dense prediction says at these points: `(B, C, *grid)`, or `(B, N, C)` if `channels_last`, →
        `(B, Q, C)`; see `shapes.picked`."""
        return picked(dense, self.index, channels_last)

    def summary(self) -> str:
        """How many points it has of each sample."""
        return counted(self.coords, self.grid_shape)


@dataclass(frozen=True, repr=False)
class EncoderInput(Record):
    """What the encoder sees.

    Attributes:
        fields: field → `(B, N, C)`, row-major for grids; `(B, S, N, C)` if S > 1 input steps were asked for
            (static fields keep `(B, N, C)`).
        coords: `(1, N, d)`, or `(B, N, d)` if the points differ between samples.
        grid_shape: the grid's shape in array order, None for points.
        mask: `(B, N)` bool, False where a sample has fewer points than others and is padded with zeros; None if no
            sample is padded.
        scale: how `coords` of a point set were scaled (`LoaderOptions.coords`); None: as they are stored, or of a grid.
    """

    fields: dict[str, Tensor]
    coords: Tensor
    grid_shape: tuple[int, ...] | None = None
    mask: Tensor | None = None
    scale: UnitScale | None = None

    def source_coords(self) -> Tensor:
        """`coords` of a point set in the source's units, float64; see `QuerySet.source_coords`."""
        return source_coords(self.coords, self.scale)

    def to_grid(self, name: str) -> Tensor:
        """A field as `(B, C, *grid)`, or `(B, S, C, *grid)` for S > 1 input steps: a view, for convolutions.

        Raises:
            UpsDataError: the points form no grid.
        """
        return on_grid(self.fields, name, self.grid_shape, "the encoder's input")

    def summary(self) -> str:
        """How many points it has of each sample."""
        return counted(self.coords, self.grid_shape)


@dataclass(frozen=True, repr=False)
class QueryBatch(Record):
    """One training step's data: dense (or sampled) encoder inputs, sparse query sets, conditioning.

    A loss multiplies each query's error by its weight and takes the mean, without dividing by the sum of the weights:

        error = (predicted - batch.target_queries.values["u"]).square().mean(-1)  # (B, Q)
        loss = (batch.target_queries.weight * error).mean()

    Attributes:
        inputs: what the encoder sees.
        input_queries: points of the (last) input frame, for the inverse-encoding loss; None if not asked for.
        target_queries: points of the target frames.
        lattice_queries: a randomly offset coarse grid, coordinates only, for the inverse-decoding loss; None if not
            asked for.
        time: `(B,)` float32, time of the (last) input frame.
        dt: `(B,)` float32, time from the input frame to the target; `(B, K)` for a horizon K > 1.
        params: name → `(B,)` float32.
        trajectory, step: `(B,)` int64, the trajectory's number in its split and the (last) input frame's number.
        epoch: the epoch that the points were drawn for.
        valid: `(B,)` bool, False for samples that only fill the batch up to its size; None: all samples are valid.
            Their weights are 0 in every query set. The other weights stay as they are, so that a mean over all B rows
            counts each sample as much as a full batch does; for the mean over the valid samples, multiply by
            B ÷ `num_valid`.
        source: if loaders are mixed, the number of the loader that the batch comes from.
        set_name, others: if the dataset has several sets of points, the name of this batch's set, and the batches of
            the other sets, of the same samples; `batch["volume"]` is the batch of one set.
        latents: of the input and target frames, where stored ones are read; the inputs may then have no fields.
    """

    inputs: EncoderInput
    input_queries: QuerySet | None
    target_queries: QuerySet
    lattice_queries: QuerySet | None
    time: Tensor
    dt: Tensor
    params: dict[str, Tensor]
    trajectory: Tensor
    step: Tensor
    epoch: int = 0
    valid: Tensor | None = None
    source: int = 0
    set_name: str | None = None
    others: dict[str, "QueryBatch"] = field(default_factory=dict)
    latents: Latents | None = None

    def __getitem__(self, set_name: str) -> "QueryBatch":
        """The batch of one of the sets of points."""
        return self if set_name == self.set_name else self.others[set_name]

    def __len__(self) -> int:
        """B, the number of samples."""
        return int(self.time.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        """`time`, `trajectory` and `step`, which have one entry for each sample: what looks through a batch for its
        size, as Lightning does, finds B."""
        return iter((self.time, self.trajectory, self.step))

    def to_grid(self, name: str, of: Literal["inputs", "input_queries", "target_queries"] | None = None) -> Tensor:
        """A field on its grid, `(B, C, *grid)` in array order: what convolutions and Fourier layers take. A view.

            x, y = batch.to_grid("u"), batch.to_grid("u", of="target_queries")  # with ratio=1

        Args:
            name: of the field.
            of: the encoder's dense input (if that has the field, the default), or a query set of all points or on a
                lattice. `(B, S, C, *grid)` of S > 1 input steps, `(B, K, C, *grid)` of a horizon K > 1.

        Raises:
            UpsDataError: there is no such field, or its points form no grid.
        """
        if of is None:
            of = "inputs" if name in self.inputs.fields else "target_queries"
        part = getattr(self, of, None)
        if part is None:
            raise UpsDataError(f"to_grid: this batch has no {of!r}: give 'inputs', 'input_queries' or 'target_queries'")
        return part.to_grid(name)

    def summary(self) -> str:
        """How many samples of what."""
        about = [f"{len(self)} samples of epoch {self.epoch}"]
        about += [] if self.set_name is None else [f"set {self.set_name!r}"]
        about += [] if self.dt.dim() == 1 else [f"horizon {self.dt.shape[1]}"]
        about += [] if not self.source else [f"of loader {self.source} of a mixture"]
        return ", ".join(about)

    @property
    def num_valid(self) -> int:
        """The number of samples that do not only fill the batch."""
        return len(self) if self.valid is None else int(self.valid.sum())

    def part(self, start: int, stop: int) -> "QueryBatch":
        """Samples start to stop - 1, as views."""
        size = len(self)
        return _if_any_fills(map_tensors(self, lambda t: t[start:stop] if t.shape[0] == size else t))

    def split(self, sizes: list[int]) -> "list[QueryBatch]":
        """The batch in parts of these numbers of samples, as views; a tenth of the cost of calling `part` for each."""
        return [_if_any_fills(part) for part in split_tensors(self, sizes, sum(sizes))]

    def only(self, valid: Tensor) -> "QueryBatch":
        """The same batch in which only the samples marked in `valid`, `(B,)` bool, count: the others get weight 0."""
        if bool(valid.all()):
            return self
        sets = {
            name: s and replace(s, weight=s.weight * valid.view(-1, *[1] * (s.weight.dim() - 1)))
            for name in ("input_queries", "target_queries", "lattice_queries")
            for s in [getattr(self, name)]
        }
        others = {name: batch.only(valid) for name, batch in self.others.items()}
        return replace(self, valid=valid if self.valid is None else valid & self.valid, others=others, **sets)

    def of_source(self, source: int) -> "QueryBatch":
        """The same batch, marked as coming from loader number `source` of a mixture."""
        return self._with(source=source)

    def _with(self, **changes: Any) -> "QueryBatch":
        """The same batch with other values of attributes that the batches of all sets of points share."""
        others = {name: batch._with(**changes) for name, batch in self.others.items()}
        return replace(self, others=others, **changes)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "QueryBatch":
        """The same batch on a device."""
        return map_tensors(self, lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "QueryBatch":
        """The same batch in page-locked memory."""
        return map_tensors(self, Tensor.pin_memory)

    def for_each_tensor(self, f: Callable[[Tensor], object]) -> None:
        """Call `f` with every tensor of the batch."""

        def call(tensor: Tensor) -> Tensor:
            f(tensor)
            return tensor

        map_tensors(self, call)

    def nbytes(self) -> int:
        """Bytes of the batch's tensors. Memory that tensors share, and rows that are only repeated, count once."""
        sizes: dict[tuple[int, ...], int] = {}

        def note(tensor: Tensor) -> None:
            seen = [n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
            sizes[tensor.data_ptr(), *seen] = math.prod(seen) * tensor.element_size()

        self.for_each_tensor(note)
        return sum(sizes.values())


def _if_any_fills(batch: QueryBatch) -> QueryBatch:
    return batch if batch.valid is None or not bool(batch.valid.all()) else batch._with(valid=None)
