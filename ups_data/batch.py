"""`QueryBatch`, what a training step receives, and `query_collate`, which makes one from samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ups_data.sampling import Domain, QuerySampling, Stream, draw_queries, sample_keys


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
        grid_shape: the shape of the lattice that the Q points form (array order), where they form one.
    """

    coords: Tensor
    values: dict[str, Tensor]
    index: Tensor
    weight: Tensor
    grid_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class EncoderInput:
    """What the encoder sees.

    Attributes:
        fields: field → `(B, N, C)`, row-major for grids; `(B, S, N, C)` where S > 1 input steps were asked for
            (static fields keep `(B, N, C)`).
        coords: `(1, N, d)`, or `(B, N, d)` where the points differ between samples.
        grid_shape: the grid's shape in array order, None for points.
    """

    fields: dict[str, Tensor]
    coords: Tensor
    grid_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class QueryBatch:
    """One training step's data: dense (or sampled) encoder inputs, sparse query sets, conditioning.

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

    def __len__(self) -> int:
        """B, the number of samples."""
        return len(self.time)

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
        """Bytes of memory that the batch's tensors take, each storage counted once."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> None:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()

        self.for_each_tensor(note)
        return sum(storages.values())


class Memory(Protocol):
    """Where a batch's arrays come from."""

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor: ...


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of; one for all samples of a dataset.

    Attributes:
        sampling: of the query sets.
        inputs: of the encoder's own points, None: dense.
        input_queries, lattice_queries: whether these sets are drawn.
        params: names of the columns of `Sample.params`.
        memory: where the batch's arrays come from.
    """

    sampling: QuerySampling
    inputs: QuerySampling | None
    seed: int
    input_queries: bool
    lattice_queries: bool
    params: tuple[str, ...]
    memory: Memory


@dataclass(slots=True, eq=False)
class Sample:
    """One encoder input and its target frames: views, nothing copied yet.

    Attributes:
        domain: the points, with their coordinates `(N, d)`.
        inputs: field → S frames `(N, C)`; one for a static field.
        targets: field → K frames `(N, C)`; one where the input frame is its own target.
        target_steps: numbers of the target frames in the trajectory.
        dt: time from the input frame to each target frame.
    """

    recipe: Recipe
    domain: Domain
    trajectory: int
    step: int
    epoch: int
    inputs: dict[str, list[np.ndarray]]
    targets: dict[str, list[np.ndarray]]
    target_steps: tuple[int, ...]
    time: float
    dt: tuple[float, ...]
    params: np.ndarray


def query_collate(samples: Sequence[Sample]) -> QueryBatch:
    """Draw the queries of a whole batch and copy, once, what it needs.

    Args:
        samples: of one `QueryDataset` and one epoch.

    Raises:
        UpsDataError: the sampling asks for more points than there are.
    """
    recipe, epoch = samples[0].recipe, samples[0].epoch
    horizon = len(samples[0].target_steps)
    inputs = _encoder_input(samples)
    last_input = [{name: frames[-1] for name, frames in s.inputs.items()} for s in samples]
    targets = [{name: frames[k] for name, frames in s.targets.items()} for s in samples for k in range(horizon)]
    dt = _column([s.dt for s in samples], np.float32)
    params = _column([s.params for s in samples], np.float32)
    lattice = recipe.sampling.model_copy(update={"mode": "lattice"})
    return QueryBatch(
        inputs=inputs,
        input_queries=_query_set(samples, Stream.INPUT_QUERIES, recipe.sampling, last_input, dense=inputs)
        if recipe.input_queries
        else None,
        target_queries=_query_set(samples, Stream.TARGET_QUERIES, recipe.sampling, targets, horizon=horizon),
        lattice_queries=_query_set(samples, Stream.LATTICE_QUERIES, lattice, [{} for _ in samples])
        if recipe.lattice_queries
        else None,
        time=_column([s.time for s in samples], np.float32),
        dt=dt[:, 0] if horizon == 1 else dt,
        params={name: params[:, i] for i, name in enumerate(recipe.params)},
        trajectory=_column([s.trajectory for s in samples], np.int64),
        step=_column([s.step for s in samples], np.int64),
        epoch=epoch,
    )


def _encoder_input(samples: Sequence[Sample]) -> EncoderInput:
    recipe, domain = samples[0].recipe, samples[0].domain
    if recipe.inputs is not None:
        last = [{name: frames[-1] for name, frames in s.inputs.items()} for s in samples]
        drawn = _query_set(samples, Stream.INPUTS, recipe.inputs, last)
        return EncoderInput(fields=drawn.values, coords=drawn.coords, grid_shape=drawn.grid_shape)
    fields = {}
    for name, first in samples[0].inputs.items():
        steps = (len(first),) if len(first) > 1 else ()
        tensor = recipe.memory.tensor((len(samples), *steps, *first[0].shape), _torch_dtype(first[0]))
        rows = tensor.numpy().reshape(-1, *first[0].shape)
        for row, frame in zip(rows, (f for s in samples for f in s.inputs[name]), strict=True):
            np.copyto(row, frame)
        fields[name] = tensor
    return EncoderInput(fields=fields, coords=_dense_coords(samples), grid_shape=domain.grid_shape)


def _query_set(
    samples: Sequence[Sample],
    stream: Stream,
    sampling: QuerySampling,
    frames: list[dict[str, np.ndarray]],
    *,
    horizon: int = 1,
    dense: EncoderInput | None = None,
) -> QuerySet:
    """Draw points for `horizon` frames of each sample and gather the frames' values there.

    Args:
        frames: the frames, sample by sample, step by step: field → `(N, C)`.
        dense: the encoder's input, whose tensors are these very frames where all points are drawn.
    """
    recipe, domain, epoch = samples[0].recipe, samples[0].domain, samples[0].epoch
    shape = (len(samples),) if horizon == 1 else (len(samples), horizon)
    count = sampling.count(domain.num_points, epoch)
    if count == domain.num_points:
        return _full_query_set(samples, shape, frames, dense)

    step = np.array([s.target_steps if stream is Stream.TARGET_QUERIES else (s.step,) for s in samples]).ravel()
    trajectory = np.repeat([s.trajectory for s in samples], horizon)
    keys = sample_keys(recipe.seed, epoch, trajectory, step, stream)
    draw = draw_queries(sampling, domain, keys, epoch)
    queries = draw.index.shape[-1]

    values = {}
    for name, frame in frames[0].items():
        tensor = recipe.memory.tensor((*shape, queries, frame.shape[-1]), _torch_dtype(frame))
        out = tensor.numpy().reshape(-1, queries, frame.shape[-1])
        for i, of_sample in enumerate(frames):
            # mode="clip" lets numpy write into `out` without a buffer; the indices are in range.
            np.take(of_sample[name], draw.index[i], axis=0, out=out[i], mode="clip")
        values[name] = tensor

    coords = _gather_coords(samples, draw.index, recipe.memory).view(*shape, queries, -1)
    weight = torch.ones(()) if draw.weight is None else torch.from_numpy(draw.weight).view(*shape, queries)
    return QuerySet(
        coords=coords,
        values=values,
        index=torch.from_numpy(draw.index).view(*shape, queries),
        weight=weight.expand(*shape, queries),
        grid_shape=draw.grid_shape,
    )


def _full_query_set(
    samples: Sequence[Sample],
    shape: tuple[int, ...],
    frames: list[dict[str, np.ndarray]],
    dense: EncoderInput | None,
) -> QuerySet:
    """Every point in row-major order: coordinates, index and weight are views that take no memory."""
    memory, domain = samples[0].recipe.memory, samples[0].domain
    points = domain.num_points
    values = {}
    for name, frame in frames[0].items():
        if dense is not None and name in dense.fields and dense.fields[name].shape == (*shape, *frame.shape):
            values[name] = dense.fields[name]
            continue
        values[name] = memory.tensor((*shape, *frame.shape), _torch_dtype(frame))
        rows = values[name].numpy().reshape(-1, *frame.shape)
        for row, of_sample in zip(rows, frames, strict=True):
            np.copyto(row, of_sample[name])
    coords = _dense_coords(samples)
    if len(shape) > 1:
        coords = coords[:, None]
    return QuerySet(
        coords=coords.expand(*shape, *coords.shape[-2:]),
        values=values,
        index=torch.arange(points).expand(*shape, points),
        weight=torch.ones(()).expand(*shape, points),
        grid_shape=domain.grid_shape,
    )


def _gather_coords(samples: Sequence[Sample], index: np.ndarray, memory: Memory) -> Tensor:
    """Coordinates of the points that were drawn, `(frames, Q, d)`; one gather where the samples share their points."""
    domains = [s.domain for s in samples]
    shared = all(d is domains[0] for d in domains)
    table = np.asarray(domains[0].coords)
    tensor = memory.tensor((*index.shape, table.shape[-1]), torch.float32)
    out = tensor.numpy()
    if shared:
        np.take(table, index, axis=0, out=out, mode="clip")
    else:
        horizon = len(index) // len(domains)
        for i, drawn in enumerate(index):
            np.take(np.asarray(domains[i // horizon].coords), drawn, axis=0, out=out[i], mode="clip")
    return tensor


def _dense_coords(samples: Sequence[Sample]) -> Tensor:
    """Coordinates of all points, (1, N, d) where the samples share them and (B, N, d) elsewhere."""
    domains = {id(s.domain): s.domain for s in samples}
    if len(domains) == 1:
        return torch.from_numpy(samples[0].domain.coords)[None]
    return torch.from_numpy(np.stack([np.asarray(s.domain.coords) for s in samples]))


def _column(values: list[Any], dtype: type[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype))


def _torch_dtype(array: np.ndarray) -> torch.dtype:
    return {"float16": torch.float16, "float32": torch.float32}[array.dtype.name]


_T = TypeVar("_T")


def _map_tensors(value: _T, f: Callable[[Tensor], Tensor]) -> _T:
    """The same structure of dataclasses and dicts with `f` applied to every tensor."""
    result: Any = value
    if isinstance(value, Tensor):
        result = f(value)
    elif isinstance(value, dict):
        result = {k: _map_tensors(v, f) for k, v in value.items()}
    elif isinstance(value, QueryBatch | EncoderInput | QuerySet):
        result = replace(value, **{d.name: _map_tensors(getattr(value, d.name), f) for d in fields(value)})
    return result
