"""What is queried and what the encoder sees, if nobody says so, and how either is left out."""

from pathlib import Path

import numpy as np
import pytest

from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, query_collate
from ups_data.trajectory import PointSet

MODES = ["uniform", "blocks"]


def write(root: Path) -> Path:
    """A surface and a volume of two moving fields and what describes them."""
    random = np.random.default_rng(0)
    with ShardWriter(root, blocks=4) as writer:
        for _ in range(2):
            surface = PointSet(
                coords=random.random((40, 3)),
                fields={"cp": random.random((3, 40, 1), np.float32)},
                static={"Normals": random.random((40, 3), np.float32)},
            )
            volume = PointSet(
                coords=random.random((80, 3)),
                fields={"u": random.random((3, 80, 3), np.float32), "cell_volume": np.ones((3, 80, 1), np.float32)},
                static={"mask": np.ones((80, 1), np.float32)},
            )
            writer.add(sets={"surface": surface, "volume": volume}, split="train")
    return root


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threads", [0, 2])
def test_a_set_without_an_encoder_input(tmp_path: Path, mode: str, threads: int) -> None:
    """Nothing is read for it, its queries are what they are with it, and the other set's input stays."""
    root = write(tmp_path / "d")
    sampling = {name: QuerySampling(ratio=0.25, mode=mode) for name in ("surface", "volume")}
    of_surface = QuerySampling(ratio=0.5, mode=mode)
    options = dict(split="train", batch_size=2, sampling=sampling, seed=3)
    loaders = [
        QueryLoader(root, **options, inputs=inputs, threads=threads)
        for inputs in (
            {"surface": of_surface, "volume": QuerySampling(ratio=0.5)},
            {"surface": of_surface, "volume": False},
        )
    ]
    for both, one in zip(*loaders, strict=True):
        assert one["volume"].inputs.coords.shape == (1, 0, 3)
        assert one["volume"].inputs.fields == {}
        assert one["surface"].inputs.coords.equal(both["surface"].inputs.coords)
        for name in ("surface", "volume"):
            for of in ("target_queries", "input_queries"):
                first, second = (getattr(batch[name], of) for batch in (both, one))
                assert first.index.equal(second.index)
                assert all(first.values[f].equal(second.values[f]) for f in first.values)
    fewer = loaders[0].stats.read_bytes - loaders[1].stats.read_bytes  # in mode uniform, queries read whole frames
    if threads == 0:  # threads read what the next epoch needs
        assert fewer > 0 if mode == "blocks" else fewer == 0
    assert loaders[0].state_dict() != loaders[1].state_dict()


def test_no_input_of_a_grid(tmp_path: Path) -> None:
    u = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": u})
    options = dict(split="train", batch_size=2, sampling=0.5, inputs=False, horizon=0, drop_last=False)
    for batch in (
        next(iter(QueryLoader(tmp_path / "d", **options))),
        query_collate(list(QueryDataset(tmp_path / "d", **options))[:2]),
    ):
        assert batch.inputs.coords.shape == (1, 0, 2)
        steps = batch.step[:, None].expand(-1, 32)
        found = u.reshape(3, 64)[steps, batch.target_queries.index]
        np.testing.assert_array_equal(batch.target_queries.values["u"][..., 0], found)


def test_targets_change_in_time_and_are_no_mesh(tmp_path: Path) -> None:
    root = write(tmp_path / "d")
    sampling = {name: QuerySampling(ratio=0.25) for name in ("surface", "volume")}
    batch = next(iter(QueryLoader(root, split="train", batch_size=2, sampling=sampling)))
    assert {name: list(batch[name].target_queries.values) for name in sampling} == {"surface": ["cp"], "volume": ["u"]}
    assert set(batch["surface"].inputs.fields) == {"cp", "Normals"}
    all_of_them = dict(target_fields=["cp", "Normals", "u", "mask"])
    batch = next(iter(QueryLoader(root, split="train", batch_size=2, sampling=sampling, **all_of_them)))
    assert list(batch["surface"].target_queries.values) == ["cp", "Normals"]
