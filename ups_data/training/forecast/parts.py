"""Views of a batch: its sets of points, some of its steps, some of its points."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ups_data.batch import EncoderInput, QueryBatch, QuerySet

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
