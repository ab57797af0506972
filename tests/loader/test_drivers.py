"""Whoever drives the loop, every pass is an epoch of its own, and a state goes on where the loop stood."""

import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader
from webdataset import WebLoader

from tests.datasets import write_grid
from ups_data import QueryBatch, QueryDataset, QueryLoader, QuerySampling, query_collate

OPTIONS: dict[str, Any] = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.1), "seed": 3}
BATCHES = 8  # of an epoch

Pass = Iterator[QueryBatch]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drivers") / "d"
    write_grid(root, steps=(9,) * 4)
    return root


def digest(batch: QueryBatch) -> str:
    parts = (batch.inputs.fields["u"], batch.target_queries.index, batch.trajectory, batch.step)
    return hashlib.sha256(b"".join(p.contiguous().numpy().tobytes() for p in parts)).hexdigest()


@pytest.fixture(scope="module")
def epochs(root: Path) -> list[list[str]]:
    """What each epoch is, told by `set_epoch`."""
    source, told = QueryLoader(root, **OPTIONS), []
    for epoch in range(4):
        source.set_epoch(epoch)
        told.append([digest(batch) for batch in source])
    assert len({b for epoch in told for b in epoch}) == 4 * BATCHES
    return told


def plain(source: QueryLoader) -> Pass:
    yield from source


def islice(source: QueryLoader) -> Pass:
    yield from itertools.islice(source, len(source))


def by_zip(source: QueryLoader) -> Pass:
    for _, batch in zip(range(len(source)), source, strict=False):
        yield batch


def broken_off_at_the_last(source: QueryLoader) -> Pass:
    for number, batch in enumerate(source):
        yield batch
        if number + 1 == len(source):
            break


def by_next(source: QueryLoader) -> Pass:
    """As trainers do that keep the iterator alive into the next epoch."""
    iterator = iter(source)
    while (batch := next(iterator, None)) is not None:
        yield batch


def halves(source: QueryLoader) -> Pass:
    for batch in source:
        yield batch
        if source.state_dict()["batch"] == BATCHES // 2:
            break


DRIVERS: list[tuple[Callable[[QueryLoader], Pass], int]] = [
    *((driver, BATCHES) for driver in (plain, islice, by_zip, broken_off_at_the_last, by_next)),
    (halves, BATCHES // 2),
]


@pytest.mark.parametrize(
    "options",
    [{"threads": 0}, {"threads": 2}, pytest.param({"num_workers": 2, "threads": 0}, id="workers")],
    ids=lambda o: "-".join(map(str, o)) if isinstance(o, dict) else None,
)
@pytest.mark.parametrize(("driver", "length"), DRIVERS, ids=lambda d: getattr(d, "__name__", None))
def test_three_passes_are_three_epochs(
    root: Path,
    epochs: list[list[str]],
    driver: Callable[[QueryLoader], Pass],
    length: int,
    options: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "ups_data")
    source = QueryLoader(root, **OPTIONS, **options)
    passes = [[digest(b) for b in driver(source)] for _ in range(3)]
    assert passes == [epoch[:length] for epoch in epochs[:3]]
    assert caplog.text.count("was left after") == (length < BATCHES)
    assert source.epoch == 3


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 2}], ids=["threads", "workers"])
@pytest.mark.parametrize(("driver", "length"), DRIVERS, ids=lambda d: getattr(d, "__name__", None))
def test_a_state_goes_on_where_the_loop_stood(
    root: Path,
    epochs: list[list[str]],
    driver: Callable[[QueryLoader], Pass],
    length: int,
    options: dict[str, int],
) -> None:
    """Taken in the middle of the second pass, and behind its last batch."""
    source, again = QueryLoader(root, **OPTIONS, **options), QueryLoader(root, **OPTIONS, **options)
    _ = [None for _ in driver(source)]
    for number, _ in enumerate(driver(source), 1):
        if number == 3:
            again.load_state_dict(source.state_dict())
            assert [digest(b) for b in driver(again)] == epochs[1][3:length]
    again.load_state_dict(source.state_dict())
    rest = epochs[1][length:] or epochs[2]
    assert [digest(b) for b in again] == rest


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 2}], ids=["threads", "workers"])
def test_passes_side_by_side_are_both_right(root: Path, epochs: list[list[str]], options: dict[str, int]) -> None:
    """A look at one batch in the middle of a pass, and a whole pass inside another."""
    source, seen = QueryLoader(root, **OPTIONS, **options, timeout=60), []
    inner: list[list[str]] = []
    for number, batch in enumerate(source):
        seen.append(digest(batch))
        if number == 2:
            assert digest(next(iter(source))) == epochs[1][0]
        if number == 4:
            inner.append([digest(b) for b in source])
    assert seen == epochs[0]
    assert inner == [epochs[2]]
    first, second = iter(source), iter(source)
    pairs = [(digest(a), digest(b)) for a, b in zip(first, second, strict=True)]
    assert pairs == list(zip(epochs[3], [digest(b) for b in _epoch(root, 4)], strict=True))


def _epoch(root: Path, number: int) -> QueryLoader:
    source = QueryLoader(root, **OPTIONS)
    source.set_epoch(number)
    return source


def samples(batches: Any) -> list[tuple[int, int, str]]:
    """Trajectory, step and drawn points of every sample, in any order."""
    return sorted(
        (int(t), int(s), str(index.tolist()))
        for batch in batches
        for t, s, index in zip(batch.trajectory, batch.step, batch.target_queries.index, strict=True)
    )


def torch_loader(root: Path, **options: Any) -> DataLoader[Any]:
    return DataLoader(QueryDataset(root, **OPTIONS), batch_size=4, collate_fn=query_collate, **options)


def web_loader(root: Path, **options: Any) -> WebLoader:
    pipeline = QueryDataset(root, **OPTIONS).batched(4, collation_fn=query_collate)
    return WebLoader(pipeline, batch_size=None, **options)


WORKERS = {"num_workers": 2, "multiprocessing_context": "forkserver"}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch_loader, {}),
        (web_loader, {}),
        (torch_loader, WORKERS),
        (torch_loader, {**WORKERS, "persistent_workers": True}),
        (web_loader, WORKERS),
    ],
)
def test_a_pipeline_moves_on_too(root: Path, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """In worker processes that are started for each pass or live on, and after a pass that was left at once."""
    batches = make(root, **options)
    expected = [samples(_epoch(root, number)) for number in range(4)]
    assert samples(batches) == expected[0]
    assert samples(batches) == expected[1]
    next(iter(batches))
    assert samples(batches) == expected[3]
    dataset = batches.dataset if make is torch_loader else batches.pipeline[0].dataset.pipeline[0].__self__
    (dataset.set_epoch if make is torch_loader else dataset.passes.set_epoch)(1)
    assert samples(batches) == expected[1]
