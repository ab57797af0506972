"""Ways to go through two epochs of a dataset: what one configuration hands out."""

import inspect
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ups_data import QueryBatch, QueryDataset, QueryLoader, query_collate

EPOCHS = (0, 1)
Batches = Iterator[QueryBatch]


@dataclass(frozen=True)
class Configuration:
    """What is digested under one name.

    Attributes:
        datasets: names of the datasets that it needs.
        epochs: folders of these datasets → the batches of each epoch.
    """

    datasets: tuple[str, ...]
    epochs: Callable[[Sequence[Path]], Iterator[Batches]]


def plain(dataset: str, **options: Any) -> Configuration:
    """One loader."""
    return ranks(dataset, 1, **options)


def ranks(dataset: str, world: int, *, fed_back: bool = False, **options: Any) -> Configuration:
    """A loader for each of so many ranks, one after the other in this process.

    Args:
        fed_back: errors are told after every batch.
        options: of the loaders, `batch_size` being that of all ranks together.
    """

    def epochs(roots: Sequence[Path]) -> Iterator[Batches]:
        loaders = _loaders(roots[0], world, **options)
        for epoch in EPOCHS:
            yield _epoch(loaders, epoch, fed_back)

    return Configuration((dataset,), epochs)


def resumed(
    dataset: str,
    worlds: tuple[int, int, int] = (1, 1, 1),
    *,
    stop: int = 2,
    fed_back: bool = False,
    **options: Any,
) -> Configuration:
    """Every epoch is left after `stop` batches, and ended by fresh loaders that were given the state.

    Args:
        worlds: numbers of ranks: at first, of those that end the first epoch, and of those that end the second.
    """

    def epochs(roots: Sequence[Path]) -> Iterator[Batches]:
        stages = [_loaders(roots[0], world, **options) for world in worlds]
        for epoch, (first, then) in zip(EPOCHS, pairwise(stages), strict=True):
            yield _interrupted(first, then, epoch, stop, fed_back)

    return Configuration((dataset,), epochs)


def mixed(
    datasets: tuple[str, ...],
    weights: Sequence[float],
    each: Sequence[dict[str, Any]],
    *,
    world: int = 1,
    stop: int | None = None,
    fed_back: bool = False,
    **options: Any,
) -> Configuration:
    """A mixture of a loader of each dataset, on every rank.

    Args:
        each: options of each loader.
        stop: batches after which an epoch is left, and ended by a fresh mixture that was given the state.
        options: of the mixture.
    """

    def mixtures(roots: Sequence[Path]) -> list[Any]:
        of_datasets = [_loaders(root, world, **given) for root, given in zip(roots, each, strict=True)]
        of_ranks = zip(*of_datasets, strict=True)
        return [QueryLoader.mix(list(loaders), weights=weights, **options) for loaders in of_ranks]

    def epochs(roots: Sequence[Path]) -> Iterator[Batches]:
        first = mixtures(roots)
        for epoch in EPOCHS:
            if stop is None:
                yield _epoch(first, epoch, fed_back)
            else:
                then = mixtures(roots)
                yield _interrupted(first, then, epoch, stop, fed_back)
                first = then

    return Configuration(datasets, epochs)


def damaged(dataset: str, file: str, **options: Any) -> Configuration:
    """A copy of the dataset with one byte of one file changed, damaged samples being skipped.

    Args:
        file: its path in the dataset.
    """

    def epochs(roots: Sequence[Path]) -> Iterator[Batches]:
        with TemporaryDirectory() as folder:
            root = shutil.copytree(roots[0], Path(folder, "damaged"))
            data = bytearray((root / file).read_bytes())
            data[len(data) // 3] ^= 1
            (root / file).write_bytes(data)
            yield from ranks(dataset, on_damage="skip", **{"world": 1, **options}).epochs([root])

    return Configuration((dataset,), epochs)


def pipeline(dataset: str, *, batch_size: int = 4, after: float | None = None, **options: Any) -> Configuration:
    """`QueryDataset` as a pipeline, batched by `query_collate`.

    Args:
        after: only samples of a later time are taken.
    """

    def epochs(roots: Sequence[Path]) -> Iterator[Batches]:
        given = _as_at_first(roots[0], options)
        samples = QueryDataset(roots[0], split="train", batch_size=batch_size, seed=11, **given)
        chosen = samples if after is None else samples.select(lambda sample: sample.time > after)
        batches = chosen.batched(batch_size, collation_fn=query_collate)
        for epoch in EPOCHS:
            samples.set_epoch(epoch)
            yield iter(batches)

    return Configuration((dataset,), epochs)


def _loaders(root: Path, world: int, *, batch_size: int = 4, **options: Any) -> list[QueryLoader]:
    """One for each rank, of the same global batches."""
    given = {"split": "train", "seed": 11, "threads": 0, "batch_size": batch_size // world}
    given |= _as_at_first(root, options)
    return [QueryLoader(root, rank=rank, world_size=world, **given) for rank in range(world)]


def _epoch(loaders: Sequence[Any], epoch: int, fed_back: bool) -> Batches:
    """All batches of all ranks."""
    for loader in loaders:
        loader.set_epoch(epoch)
        for batch in loader:
            yield batch
            if fed_back:
                loader.feedback(batch, _errors(batch))


def _interrupted(first: Sequence[Any], then: Sequence[Any], epoch: int, stop: int, fed_back: bool) -> Batches:
    """So many batches of each of the first loaders, and what follows of each of the others."""
    state: dict[str, Any] = {}
    for loader in first:
        loader.set_epoch(epoch)
        for number, batch in enumerate(loader, 1):
            yield batch
            if fed_back:
                loader.feedback(batch, _errors(batch))
            if number == stop:
                state = loader.state_dict()
                break
    for loader in then:
        loader.load_state_dict(state)
        for batch in loader:
            yield batch
            if fed_back:
                loader.feedback(batch, _errors(batch))


def _errors(batch: QueryBatch) -> torch.Tensor | dict[str, torch.Tensor]:
    """Errors that depend on the points only, eighths; by sets of points where there are several."""
    if batch.others:
        return {str(name): _errors_of(batch[str(name)]) for name in (batch.set_name, *batch.others)}
    return _errors_of(batch)


def _errors_of(batch: QueryBatch) -> torch.Tensor:
    return (1 + batch.target_queries.index % 7) / 8


def _as_at_first(root: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The options, with the defaults of the first version where they have changed: coordinates as they are stored, and
    every field as a target."""
    fields = json.loads((root / "dataset.json").read_text())["fields"]
    given = {"target_fields": [field["name"] for field in fields], **options}
    has_scales = "coords" in inspect.signature(QueryLoader).parameters
    return {"coords": "source", **given} if has_scales else given
