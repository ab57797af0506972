"""Batches are promises: those of these configurations are as they have been since the first version.

Digests of many more, of this commit against another: `benchmarks/batches/same_batches.py`.
"""

import json
from pathlib import Path

import pytest

from benchmarks.batches.batch_digests.pinned import digest

PINNED = json.loads(Path(__file__).with_name("pinned_batches.json").read_text())


@pytest.mark.parametrize("name", PINNED)
def test_batches_are_as_they_have_been(name: str) -> None:
    assert digest(name) == PINNED[name]
