"""`QueryBatch`: what a training step receives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class QuerySet:
    """Points drawn from one frame per sample, with the fields' values there.

    For a horizon K > 1 every tensor has a step axis behind the batch axis: `(B, K, Q, ...)`.

    Attributes:
        coords: `(B, Q, d)` float32, components x, y(, z).
        values: field → `(B, Q, C)`.
        index: `(B, Q)` int64, row-major point numbers.
        weight: `(B, Q)` float32, Q / (N π) with π the inclusion probability: mean 1 in expectation. A weighted mean
            over the queries is an unbiased estimate of the mean over all N points.
        grid_shape: the shape of the lattice that the Q points form, in array order; None if they form none.
        mask: `(B, Q)` bool, False where a row is padded (the weight is 0 there); None if no row is padded.
    """

    coords: Tensor
    values: dict[str, Tensor]
    index: Tensor
    weight: Tensor
    grid_shape: tuple[int, ...] | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class EncoderInput:
    """What the encoder sees.

    Attributes:
        fields: field → `(B, N, C)`, row-major for grids; `(B, S, N, C)` if S > 1 input steps were asked for
            (static fields keep `(B, N, C)`).
        coords: `(1, N, d)`, or `(B, N, d)` if the points differ between samples.
        grid_shape: the grid's shape in array order, None for points.
        mask: `(B, N)` bool, False where a sample has fewer points than others and is padded with zeros; None if no
            sample is padded.
    """

    fields: dict[str, Tensor]
    coords: Tensor
    grid_shape: tuple[int, ...] | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class QueryBatch:
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

    def __getitem__(self, set_name: str) -> "QueryBatch":
        """The batch of one of the sets of points."""
        return self if set_name == self.set_name else self.others[set_name]

    def __len__(self) -> int:
        """B, the number of samples."""
        return int(self.time.shape[0])

    @property
    def num_valid(self) -> int:
        """The number of samples that do not only fill the batch."""
        return len(self) if self.valid is None else int(self.valid.sum())

    def part(self, start: int, stop: int) -> "QueryBatch":
        """Samples start to stop - 1, as views."""
        size = len(self)
        return _if_any_fills(_map_tensors(self, lambda t: t[start:stop] if t.shape[0] == size else t))

    def split(self, sizes: list[int]) -> "list[QueryBatch]":
        """The batch in parts of these numbers of samples, as views; a tenth of the cost of calling `part` for each."""
        return [_if_any_fills(part) for part in _split(self, sizes, sum(sizes))]

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
        return _map_tensors(self, lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "QueryBatch":
        """The same batch in page-locked memory."""
        return _map_tensors(self, Tensor.pin_memory)

    def for_each_tensor(self, f: Callable[[Tensor], object]) -> None:
        """Call `f` with every tensor of the batch."""

        def call(tensor: Tensor) -> Tensor:
            f(tensor)
            return tensor

        _map_tensors(self, call)

    def nbytes(self) -> int:
        """Bytes of the batch's tensors. Memory that tensors share, and rows that are only repeated, count once."""
        sizes: dict[tuple[int, ...], int] = {}

        def note(tensor: Tensor) -> None:
            seen = [n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
            sizes[tensor.data_ptr(), *seen] = math.prod(seen) * tensor.element_size()

        self.for_each_tensor(note)
        return sum(sizes.values())


_T = TypeVar("_T")


def _if_any_fills(batch: QueryBatch) -> QueryBatch:
    return batch if batch.valid is None or not bool(batch.valid.all()) else batch._with(valid=None)


def _split(value: Any, sizes: list[int], size: int) -> Sequence[Any]:
    """Structures of dataclasses and dicts, one for each of `sizes`, with the rows of tensors of `size` dealt out."""
    if isinstance(value, Tensor) and value.shape[0] == size:
        return value.split(sizes)
    if isinstance(value, dict):
        dicts: list[dict[str, Any]] = [{} for _ in sizes]
        for name, entry in value.items():
            for part, of_part in zip(dicts, _split(entry, sizes, size), strict=True):
                part[name] = of_part
        return dicts
    if isinstance(value, QueryBatch | EncoderInput | QuerySet):
        # Not by the constructor: that of a frozen dataclass costs more than all views of a batch.
        made = [object.__new__(type(value)) for _ in sizes]
        attributes = [batch.__dict__ for batch in made]
        for field_name, attribute in vars(value).items():
            for of_batch, part in zip(attributes, _split(attribute, sizes, size), strict=True):
                of_batch[field_name] = part
        return made
    return [value] * len(sizes)


def _map_tensors(value: _T, f: Callable[[Tensor], Tensor]) -> _T:
    """The same structure of dataclasses and dicts with `f` applied to every tensor."""
    result: Any = value
    if isinstance(value, Tensor):
        result = f(value)
    elif isinstance(value, dict):
        result = {k: _map_tensors(v, f) for k, v in value.items()}
    elif isinstance(value, QueryBatch | EncoderInput | QuerySet):
        result = type(value)(**{name: _map_tensors(v, f) for name, v in vars(value).items()})
    return result
