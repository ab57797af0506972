"""Blocks, packs and shards for a store: against what ranges of every number of blocks would take."""

import numpy as np
import pytest

from tests.cli.programs import printed
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.remote.costs import LONGEST, SHORTEST, suggest_for_store
from ups_data.conversion.suggest import FrameSize, dataset_cost
from ups_data.schema import Manifest

CLOUD = FrameSize(None, 1 << 20, 1, (16,), 16)  # the benchmark's third workload
CUBE = FrameSize((64, 64, 64), 64**3, 12, (16,))


def test_fields_and_places_are_packed_into_ranges_of_a_good_length():
    found = suggest_for_store([CLOUD], 1 / 64, latency=0.03, bandwidth=1e9)
    assert found.pack
    assert SHORTEST <= found.suggestion.chosen.chunk_bytes <= LONGEST
    assert found.suggestion.chosen.read <= 1.1 * found.suggestion.chosen.used
    assert found.seconds < 0.8 * found.seconds_apart
    assert found.options == f"--blocks {found.suggestion.chosen.blocks} --pack --shard-mb 1024"


def test_what_has_one_array_is_not_packed():
    found = suggest_for_store([CUBE], 0.02, latency=0.03, bandwidth=1e9)
    assert not found.pack
    assert found.seconds == found.seconds_apart
    assert "--pack" not in found.options


def test_nothing_is_better_by_more_than_a_tenth():
    for latency, bandwidth in ((0.001, 1e9), (0.03, 1e8), (0.1, 1e10)):
        for size in (CLOUD, CUBE):
            for ratio in (0.001, 0.02, 0.3):
                found = suggest_for_store([size], ratio, latency=latency, bandwidth=bandwidth)
                least = min(c.read / bandwidth + c.chunks * latency / 128 for c in found.suggestion.costs)
                assert found.seconds <= 1.1 * least * (1 + 1e-9)


def test_a_long_wait_asks_for_fewer_blocks_than_a_short_one():
    near, far = (suggest_for_store([CUBE], 0.02, latency=s, bandwidth=1e9) for s in (1e-5, 0.5))
    assert far.suggestion.chosen.blocks < near.suggestion.chosen.blocks


@pytest.mark.parametrize(("bandwidth", "shard"), [(1e8, 256), (5e8, 512), (1e11, 1024)])
def test_shards_are_of_a_quarter_to_one_gigabyte(bandwidth, shard):
    assert suggest_for_store([CUBE], 0.02, latency=0.03, bandwidth=bandwidth).shard_mb == shard


def test_the_command_says_so(tmp_path):
    rng = np.random.default_rng(0)
    cloud = {"coords": rng.random((20_000, 3)), "p": rng.random((20_000, 1)), "v": rng.random((20_000, 3))}
    np.savez(tmp_path / "run.npz", **{n: a.astype(np.float32) for n, a in cloud.items()})
    shown = printed("convert", tmp_path / "run.npz", "--suggest", "--latency", "0.03", "--ratio", "0.05", columns=200)
    assert "--pack --shard-mb 1024" in shown
    assert list(tmp_path.iterdir()) == [tmp_path / "run.npz"]


def test_numbers_that_are_none_are_refused():
    with pytest.raises(UpsDataError, match="give numbers above 0"):
        suggest_for_store([CUBE], 0.02, latency=0.0, bandwidth=1e9)


@pytest.mark.parametrize("pack", [False, True])
def test_the_estimate_of_a_dataset_knows_packs(tmp_path, pack):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d", blocks=8, pack=pack) as writer:
        fields = {n: rng.random((1, 800, c), np.float32) for n, c in (("p", 1), ("v", 3))}
        writer.add(fields, coords=rng.random((800, 3), np.float32))
    cost = dataset_cost(Manifest.load(tmp_path / "d"), 1 / 8)
    assert cost.read == cost.used == 100 * 4 * (1 + 3 + 3 + 1)
    assert cost.chunks == (1 if pack else 3)
