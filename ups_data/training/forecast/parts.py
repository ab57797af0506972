"""Views of a batch: its sets of points, some of its steps, some of its points."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from ups_data.batch import EncoderInput, QueryBatch, QuerySet
from ups_data.loader.stretches.stretches import SampleFrames

SetName = str | None


def sets_of(batch: QueryBatch) -> dict[SetName, QueryBatch]:
    """Set of points → the batch of it; a grid and an only set are called None."""
    found: dict[SetName, QueryBatch] = {batch.set_name: batch}
    found.update(batch.others)
    return found


def with_sets(
    batch: QueryBatch, queries: Mapping[SetName, QuerySet], inputs: Mapping[SetName, EncoderInput], **common: Tensor
) -> QueryBatch:
    """The same samples with other target queries and inputs, set by set, and no other query sets."""
    parts = {
        name: replace(
            part,
            inputs=inputs.get(name, part.inputs),
            target_queries=queries[name],
            input_queries=None,
            lattice_queries=None,
            others={},
            **common,  # type: ignore[arg-type]  # time, dt and step are tensors
        )
        for name, part in sets_of(batch).items()
    }
    first = parts.pop(batch.set_name)
    return replace(first, others={str(name): part for name, part in parts.items()})


def stepped(queries: QuerySet, steps: bool) -> QuerySet:
    """A query set with a step axis behind the batch axis: as it is, or with one of length 1."""
    return queries if steps else _each(queries, lambda t: t[:, None])


def steps_of(queries: QuerySet, start: int, stop: int, squeeze: bool) -> QuerySet:
    """Steps start to stop - 1 of a query set with a step axis; without that axis if `squeeze`."""
    return _each(queries, lambda t: t[:, start] if squeeze else t[:, start:stop])


def every_step(queries: QuerySet, steps: int) -> QuerySet:
    """The same points, of a query set without a step axis, at each of so many steps."""
    return _each(queries, lambda t: t[:, None].expand(-1, steps, *t.shape[1:]))


def of_every_step(frames: SampleFrames) -> SampleFrames:
    """The points of a sample's only target frame, at whatever steps are asked for; none of its values."""

    def read(steps: slice) -> Iterator[QueryBatch]:
        for batch in frames.read(slice(0, 1)):
            queries, count = replace(batch.target_queries, values={}), steps.stop - steps.start
            yield replace(batch, target_queries=queries if count == 1 else every_step(queries, count))

    return SampleFrames(frames.points, read)


def _each(queries: QuerySet, view: Callable[[Tensor], Tensor]) -> QuerySet:
    mask = None if queries.mask is None else view(queries.mask)
    values = {name: view(v) for name, v in queries.values.items()}
    return replace(
        queries,
        coords=view(queries.coords),
        values=values,
        index=view(queries.index),
        weight=view(queries.weight),
        mask=mask,
    )
