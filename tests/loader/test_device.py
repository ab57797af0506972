"""A loader whose batches arrive on a device, one of them on its way, goes where it is sent."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.datasets import write_grid
from ups_data import QueryBatch, QueryLoader, QuerySampling
from ups_data.loader.device import DeviceLoader

OPTIONS: dict[str, Any] = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.1), "seed": 1}
BATCHES = 8  # of an epoch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_grid(tmp_path / "d", steps=(9,) * 4)
    return tmp_path / "d"


def digest(batch: QueryBatch) -> str:
    parts = (batch.inputs.fields["u"], batch.target_queries.index, batch.trajectory, batch.step)
    return hashlib.sha256(b"".join(p.contiguous().numpy().tobytes() for p in parts)).hexdigest()


@pytest.mark.parametrize("move", ["set_epoch", "load_state_dict"])
def test_in_the_middle_of_a_pass(root: Path, move: str) -> None:
    expected = QueryLoader(root, **OPTIONS)
    moved = DeviceLoader(QueryLoader(root, **OPTIONS), torch.device("cpu"))
    expected.set_epoch(5)
    if move == "load_state_dict":
        list(zip(range(3), expected, strict=False))
    state = expected.state_dict()
    expected.load_state_dict(state)  # else its next pass would be the next epoch
    list(zip(range(2), moved, strict=False))
    assert moved.state_dict() == {**state, "epoch": 0, "batch": 2}
    moved.set_epoch(5) if move == "set_epoch" else moved.load_state_dict(state)
    assert moved.state_dict() == state
    for number, (batch, other) in enumerate(zip(moved, expected, strict=True), state["batch"] + 1):
        assert digest(batch) == digest(other)
        now = moved.state_dict()
        assert (now["epoch"], now["batch"]) == divmod(5 * BATCHES + number, BATCHES)
