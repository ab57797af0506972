"""Files that are cut while worker processes read them: an error, or samples that are left out; never wrong values."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checker import drawing, sample_digests
from tests.faults.damage import objects, shards, write_dataset
from ups_data import QueryLoader, UpsDataError

SAMPLES = 6 * 39


@pytest.fixture(params=[1, 4], ids=["whole", "blocks"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three shards, each of two trajectories of 40 frames; the first is to be cut."""
    root = tmp_path / "d"
    write_dataset(root, codec="none", steps=40, object_frames=16, blocks=request.param, shard_bytes=70_000)
    assert len(shards(root)) == 3
    return root


def cut(root: Path) -> None:
    for name in ("u", "v"):
        for path in objects(shards(root)[0] / "fields" / name):
            os.truncate(path, path.stat().st_size // 2)


def epoch(root: Path, *, cut_after: int, **options: Any) -> tuple[list[dict[str, str]], QueryLoader]:
    loader = QueryLoader(
        root, split="train", batch_size=4, num_workers=2, prefetch=1, drop_last=False, **drawing(root), **options
    )

    def batches() -> Iterator[dict[str, str]]:
        for number, batch in enumerate(loader):
            yield sample_digests(batch)
            if number == cut_after:
                cut(root)

    return list(batches()), loader


def test_an_error_in_the_training_process(root: Path) -> None:
    with pytest.raises(UpsDataError, match="was cut|damaged|cannot be read") as caught:
        epoch(root, cut_after=2)
    assert "\n" not in str(caught.value)
    assert str(shards(root)[0]) in str(caught.value)
    assert not multiprocessing.active_children()


def test_what_was_cut_is_left_out(root: Path) -> None:
    intact, _ = epoch(root, cut_after=-1)
    found, loader = epoch(root, cut_after=2, on_damage="skip", max_damaged=SAMPLES)
    assert len(found) == len(intact) == len(loader)
    expected = {sample: digest for batch in intact for sample, digest in batch.items()}
    served = {sample: digest for batch in found for sample, digest in batch.items()}
    assert len(expected) == SAMPLES
    assert served.items() <= expected.items()
    assert 0 < SAMPLES - len(served) == loader.stats.damaged_samples <= 2 * 39
