"""What the fault tests share: a dataset to train on, and the process that takes damaged ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.checker import Checker
from ups_data import ShardWriter


@pytest.fixture(scope="session")
def trainable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 × 16, four training and one validation trajectory of 8 frames."""
    root = tmp_path_factory.mktemp("data") / "trainable"
    rng = np.random.default_rng(0)
    with ShardWriter(root, codec="lz4", shard_bytes=20_000) as writer:
        for i in range(5):
            u = rng.standard_normal((8, 16, 16, 1)).astype(np.float32)
            writer.add({"u": u}, split="train" if i < 4 else "valid", time=0.5 * np.arange(8), params={"nu": 0.1 * i})
    return root


@pytest.fixture(scope="module")
def checker(request: pytest.FixtureRequest) -> Iterator[Checker]:
    """At its end the module's `SEEN` is printed."""
    checker = Checker()
    yield checker
    checker.close()
    print(f"\n{request.module.__name__}: {dict(request.module.SEEN)}")
