"""Damaged datasets with `on_damage="skip"`: what is served is intact, what is not is counted, on every rank alike."""

import json
import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.checker import Checker, drawing, sample_digests
from tests.faults.damage import KINDS, objects, shards, write_dataset, write_pair
from ups_data import QueryLoader, QuerySampling, UpsDataError

SAMPLES = 30  # of the datasets, 10 of them in a shard
LAYOUTS: dict[str, dict[str, Any]] = {
    "grid": {"codec": "none"},
    "grid, lz4": {"codec": "lz4"},
    "grid in blocks": {"codec": "lz4", "blocks": 4},
    "points in blocks": {"codec": "none", "blocks": 4, "cloud": True},
}
OF_THE_MANIFEST = {name for name in KINDS if "manifest" in name}
SHORT = ("bit_of_a_chunk", "shard_missing", "object_cut", "table_missing")
SEEN: Counter[str] = Counter()


@pytest.fixture(scope="module")
def intact(checker: Checker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, str]]]:
    """Layout → a dataset, and the digest of each of its samples."""
    found = {}
    for layout, options in LAYOUTS.items():
        root = write_pair(tmp_path_factory.mktemp("of"), **options)
        answer = checker("skip", root)
        assert answer["ended"] == "done", answer
        told = json.loads(answer["digest"])
        assert (len(told["samples"]), told["left"], told["says"]) == (SAMPLES, 0, [])
        found[layout] = root, told["samples"]
    return found


@pytest.mark.parametrize(
    ("name", "seeds"),
    [*((name, 1) for name in SHORT), *(pytest.param(name, 2, marks=pytest.mark.faults) for name in KINDS)],
)
def test_damage_is_skipped(checker: Checker, intact: dict[str, Any], name: str, seeds: int) -> None:
    wrong = []
    for layout, (good, expected) in intact.items():
        for seed in range(seeds):
            root = good.with_name("case")
            shutil.copytree(good, root)
            what = KINDS[name](root, np.random.default_rng(seed))
            wrong += [f"{layout}, {what}: {w}" for w in judged(checker("skip", root), expected, name)]
            shutil.rmtree(root)
    assert not wrong


def judged(answer: dict[str, Any], expected: dict[str, str], name: str) -> list[str]:
    """What was wrong about how one damaged dataset was taken."""
    SEEN["datasets"] += 1
    if answer["ended"] == "reported":
        SEEN["reported"] += 1
        return [] if name in OF_THE_MANIFEST else [f"reported: {answer['says']}"]
    if answer["ended"] != "done":
        SEEN[f"ended by {answer['ended']}"] += 1
        return [str(answer)]
    told = json.loads(answer["digest"])
    served = told["samples"]
    SEEN["skipped and counted" if told["left"] else "without effect"] += 1
    SEEN["samples left out"] += told["left"]
    wrong = []
    if any(expected.get(sample) != digest for sample, digest in served.items()) and name not in OF_THE_MANIFEST:
        wrong.append("damage was served")
    if len(served) + told["left"] != SAMPLES:
        wrong.append(f"{len(served)} samples served and {told['left']} left out")
    if bool(told["says"]) != bool(told["left"]) or len(set(told["says"])) != len(told["says"]):
        wrong.append(f"logged {told['says']}")
    return wrong


@pytest.fixture
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bit of one chunk: a frame of the first trajectory, or a block of its frames. A parameter is the layout."""
    root = tmp_path / "d"
    write_dataset(root, **LAYOUTS[getattr(request, "param", "grid, lz4")])
    path = objects(shards(root)[0] / "fields/u")[0]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    return root


def loader(root: Path, **options: Any) -> QueryLoader:
    given = {"batch_size": 4, "drop_last": False, "sampling": QuerySampling(ratio=0.5), "on_damage": "skip"}
    return QueryLoader(root, split="train", **{**given, **options})


@pytest.mark.parametrize("damaged", ["grid in blocks", "points in blocks"], indirect=True)
def test_two_workers_skip_what_one_thread_skips(damaged: Path) -> None:
    """Of several blocks: a sample that does not draw the damaged one is served."""
    found = []
    for options in ({"threads": 0}, {"num_workers": 2}):
        source = loader(damaged, **drawing(damaged), **options)
        epochs = [[sample_digests(batch) for batch in source] for _ in range(3)]
        served = sum(len(batch) for batches in epochs for batch in batches)
        assert served + source.stats.damaged_samples == 3 * SAMPLES
        found.append(epochs)
    assert found[0] == found[1]
    left = [SAMPLES - sum(len(batch) for batch in batches) for batches in found[0]]
    assert 0 < sum(left) < 3 * 5  # the chunk is of all frames, and half of the blocks are drawn


def served(source: QueryLoader) -> list[tuple[int, int]]:
    found = []
    for batch in source:
        keep = np.ones(len(batch), bool) if batch.valid is None else batch.valid.numpy()
        found += list(zip(batch.trajectory[keep].tolist(), batch.step[keep].tolist(), strict=True))
    return found


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 2}, {"num_workers": 2}, {"pad": True}], ids=str)
def test_a_damaged_shard_does_not_end_the_epoch_early_nor_hang_two_workers(
    damaged: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As mosaic's does: 63 to 189 of 512 samples, or two workers that hang."""
    source = loader(damaged, **options)
    with caplog.at_level(logging.WARNING, "ups_data"):
        first, second = served(source), served(source)
    assert set(first) == set(second)
    assert len(first) == len(set(first))
    left = SAMPLES - len(first)
    assert 1 <= left <= 2  # a frame is an input and a target
    assert source.stats.damaged_samples == 2 * left
    assert source.stats.samples == 2 * len(first)
    (record,) = caplog.records  # once
    assert "rows 0 to 0" in record.getMessage()
    assert str(shards(damaged)[0]) in record.getMessage()


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 1}], ids=str)
def test_more_than_max_damaged_is_an_error(damaged: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UpsDataError, match=r"samples are damaged, max_damaged is 0; .*rows 0 to 0") as caught:
        served(loader(damaged, max_damaged=0, **options))
    assert "\n" not in str(caught.value)
    with pytest.raises(UpsDataError, match="rows 0 to 0"):
        served(loader(damaged, on_damage="raise", **options))


def test_a_batch_of_damaged_samples_only_is_filled(damaged: Path) -> None:
    for shard in shards(damaged)[1:]:
        shutil.rmtree(shard)
    source = loader(damaged, batch_size=1)
    batches = list(source)
    assert len(batches) == SAMPLES
    assert all(len(batch) == 1 for batch in batches)
    kept = [batch for batch in batches if batch.num_valid]
    assert 0 < len(kept) <= 10
    assert source.stats.damaged_samples == SAMPLES - len(kept)
    assert all(not batch.target_queries.weight.any() for batch in batches if not batch.num_valid)
    shutil.rmtree(shards(damaged)[0])
    with pytest.raises(UpsDataError, match="every sample of the split is damaged"):
        list(loader(damaged, batch_size=1))


def test_a_truncated_chunk_is_an_error_at_once(damaged: Path) -> None:
    """litdata waits for two minutes."""
    path = objects(shards(damaged)[0] / "fields/u")[0]
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UpsDataError, match="is damaged|cannot be read|bytes"):
        served(loader(damaged, on_damage="raise", timeout=5))
