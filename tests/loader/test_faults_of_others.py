"""What other loaders get wrong about order and points, and this one does not."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import fields, write_grid
from tests.faults.streaming import digest
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.trajectory import PointSet

SAMPLING = QuerySampling(ratio=0.1)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Shards of 1 to 12 samples."""
    root = tmp_path_factory.mktemp("uneven") / "d"
    write_grid(root, steps=(13, 2, 3, 9, 2, 5), shard_bytes=1)
    return root


def keys(batch):
    return list(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True))


def loader(root, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 2, "sampling": SAMPLING, "threads": 1, **options})


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world", [2, 3, 4])
def test_webdataset_ranks_get_different_numbers_of_batches(uneven, world, drop_last):
    ranks = [loader(uneven, rank=r, world_size=world, drop_last=drop_last) for r in range(world)]
    parts = [[keys(b) for b in r] for r in ranks]
    assert len({len(r) for r in ranks} | set(map(len, parts))) == 1
    found = list(chain(*chain(*parts)))
    assert len(found) == len(set(found)) == (28 // (2 * world) * 2 * world if drop_last else 28)


def test_webdataset_shuffled_both_epochs_alike(uneven):
    source = loader(uneven)
    epochs = [[keys(b) for b in source] for _ in range(4)]
    assert all(sorted(chain(*e)) == sorted(chain(*epochs[0])) for e in epochs)
    assert len({str(e) for e in epochs}) == 4
    shards = [list(dict.fromkeys(t for t, _ in chain(*e))) for e in epochs]
    assert len({str(s) for s in shards}) > 1


def test_the_well_drops_the_last_samples_of_a_validation(tmp_path):
    write_grid(tmp_path / "d", steps=(6, 4), split="valid")
    assert [k for b in loader(tmp_path / "d", split="valid", batch_size=3) for k in keys(b)] == [
        *((0, s) for s in range(5)),
        *((1, s) for s in range(3)),
    ]


def test_noether_draws_a_subset_of_the_other_draw_for_one_seed(uneven):
    """The encoder's points, the input's queries and a larger draw of another loader share what chance gives."""
    shared = []
    wide = loader(uneven, sampling=QuerySampling(ratio=0.5))
    for batch, other in zip(loader(uneven, inputs=QuerySampling(ratio=0.5)), wide, strict=True):
        assert keys(batch) == keys(other)
        for mine, larger in zip(batch.input_queries.index, other.target_queries.index, strict=True):
            shared.append(len(set(mine.tolist()) & set(larger.tolist())) / len(mine))
        for mine, larger in zip(batch.input_queries.coords, batch.inputs.coords, strict=True):
            seen = set(map(tuple, larger.tolist()))
            shared.append(sum(tuple(x) in seen for x in mine.tolist()) / len(mine))
    assert max(shared) < 1
    assert np.mean(shared) == pytest.approx(0.5, abs=0.06)


def test_physicsnemo_returns_fewer_points_than_asked_for(uneven):
    most = QuerySampling(num_queries=121)  # a frame has 120
    with pytest.raises(UpsDataError, match="num_queries is 121 but the frame has 120 points"):
        next(iter(loader(uneven, sampling=most)))
    with pytest.raises(UpsDataError, match="num_queries is 121 but the frame has 120 points"):
        next(iter(QueryDataset(uneven, split="train", batch_size=2, sampling=most).batched(2)))


def physics(root):
    """Digests of batches of two sets of points and five fields."""
    both = {"surface": SAMPLING, "volume": QuerySampling(ratio=0.2, mode="stratified")}
    return [digest(b).hex() for b in loader(root, sampling=both)]


def test_physicsnemo_draws_depend_on_the_hash_seed(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for i in range(4):
            sets = {
                name: PointSet(rng.random((n, 2)), {f"{name[0]}{k}": fields(10 * i + k, 4, (n,)) for k in range(3)})
                for name, n in (("surface", 50), ("volume", 90))
            }
            writer.add(sets=sets, params={"b": 1.0, "a": 2.0})
    code = f"from {__name__} import physics; print(*physics({str(tmp_path / 'd')!r}))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONHASHSEED": seed}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == physics(tmp_path / "d")
