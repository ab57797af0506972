"""All worker processes of a `DataLoader` agree on the epoch of a pass, whenever each of them begins it."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tests.datasets import write_grid
from ups_data import QueryDataset, QueryLoader
from ups_data.loader.passes import Passes


class Epochs(IterableDataset[tuple[int, int]]):
    """Which worker it is, and the epoch that it is at, four times."""

    def __init__(self) -> None:
        self.passes = Passes()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        worker, epoch = get_worker_info(), self.passes.begin()
        yield from [(worker.id if worker else 0, epoch)] * 4


def first(samples: list[Any]) -> Any:
    return samples[0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"num_workers": 0}, 40),
        ({"num_workers": 3, "persistent_workers": True}, 80),
        ({"num_workers": 2}, 8),
        pytest.param({"num_workers": 3, "persistent_workers": True}, 2000, marks=pytest.mark.slow),
    ],
)
def test_whole_passes_passes_left_at_once_and_set_epoch_in_any_order(options: dict[str, Any], passes: int) -> None:
    """A worker that is late begins a pass that was left long ago."""
    dataset, draw = Epochs(), random.Random(3)
    batches = DataLoader(dataset, batch_size=1, collate_fn=first, multiprocessing_context=_context(options), **options)
    expected = 0
    for _ in range(passes):
        kind = draw.random()
        if kind < 0.3:
            expected = draw.randrange(100)
            dataset.passes.set_epoch(expected)
        if kind < 0.7:
            workers = range(max(1, options["num_workers"]))
            assert {tuple(sample) for sample in batches} == {(worker, expected) for worker in workers}
        else:
            next(iter(batches))
        expected += 1
        assert dataset.passes.epoch == expected


def _context(options: dict[str, Any]) -> str | None:
    return "fork" if options["num_workers"] else None  # no thread of this project is at work here


@pytest.mark.parametrize(
    "options", [{}, {"drop_last": False}, {"pad": True}, {"repeats": 3}, {"world_size": 2, "rank": 1}]
)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_the_length_of_a_dataset_is_what_a_pass_yields(tmp_path: Path, options: dict[str, Any], split: str) -> None:
    """With `len(loader.dataset)`, as with a DataLoader's, loops of other people count samples."""
    write_grid(tmp_path / "d", steps=(7, 6), split=split)
    given = dict(split=split, batch_size=4, sampling=0.5) | options
    dataset = QueryDataset(tmp_path / "d", **given)
    assert len(dataset) == len(list(dataset))
    loader = QueryLoader(tmp_path / "d", **given)
    assert len(loader.dataset) == sum(len(batch) for batch in loader)
