"""Masks as they are written: which points count, what lies in the holes, statistics, and what is refused."""

import numpy as np
import pytest

from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest
from ups_data.store.masks.counted import counted_points
from ups_data.store.shard import Shard
from ups_data.store.verify import verify_dataset
from ups_data.trajectory import PointSet
from ups_data.writing.add_importance import add_importance

STEPS, SHAPE = 5, (8, 12)


def frames(seed: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, (STEPS, *SHAPE, channels)).astype(np.float32)


def island(moving: bool = False) -> np.ndarray:
    """`(T, *grid)`, True where a point counts."""
    counted = np.ones((STEPS, *SHAPE), bool)
    for step in range(STEPS):
        at = step if moving else 2
        counted[step, at : at + 3, 4:7] = False
    return counted


def shard_of(root) -> tuple[Manifest, Shard]:
    manifest = Manifest.load(root)
    return manifest, Shard(root, manifest, manifest.split("train").shards[0])


def written(root, fields, **options):
    with ShardWriter(root, **options) as writer:
        for of_run in fields:
            writer.add(of_run)
    return shard_of(root)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("blocks", [1, 4])
def test_nan_is_a_mask_with_a_filled_hole(tmp_path, moving, blocks):
    counted = island(moving)
    u, v = frames(0), frames(1, 2)
    u[~counted] = np.nan
    manifest, shard = written(tmp_path / "d", [{"u": u, "v": v}], mask_nan=True, mask_fill=-7.0, blocks=blocks)
    assert verify_dataset(tmp_path / "d") == []
    assert manifest.mask() is not None
    assert (manifest.mask().fill, manifest.mask().moving) == (-7.0, moving)
    masks = manifest.split("train").shards[0].masks[""]
    assert masks.rows == (STEPS if moving else 1)
    assert (masks.fewest, masks.most) == ([counted.reshape(STEPS, -1).sum(1).min()], [counted[0].sum()])
    for step in range(STEPS):
        assert np.array_equal(counted_points(shard, None, 0, step), counted[step].ravel())
        stored = shard.frame("v", 0, step).reshape(*SHAPE, 2)
        assert (stored[~counted[step]] == -7.0).all()
        assert np.array_equal(stored[counted[step]], v[step][counted[step]])


@pytest.mark.parametrize("moving", [False, True])
def test_statistics_are_those_of_masked_arrays(tmp_path, moving):
    counted, u = island(moving), frames(0, 2)
    u[~counted] = np.nan
    manifest, _ = written(tmp_path / "d", [{"u": u}, {"u": frames(4, 2)}], mask_nan=True)
    found = manifest.split("train").statistics["u"]
    whole = np.ma.masked_invalid(np.concatenate([u, frames(4, 2)]).reshape(-1, 2).astype(np.float64))
    deltas = [np.ma.masked_invalid(np.diff(x.astype(np.float64), axis=0)).reshape(-1, 2) for x in (u, frames(4, 2))]
    delta = np.ma.concatenate(deltas)
    assert found.count == whole[:, 0].count()
    assert found.nonfinite == 0
    for name, expected in {
        "mean": whole.mean(0),
        "std": whole.std(0),
        "rms": np.sqrt((whole**2).mean(0)),
        "min": whole.min(0),
        "max": whole.max(0),
        "delta_mean": delta.mean(0),
        "delta_std": delta.std(0),
    }.items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("moving", [False, True])
def test_a_variable_is_a_mask_and_no_field(tmp_path, moving):
    counted, u = island(moving), frames(0)
    mask = counted[..., None].astype(np.float32)
    with ShardWriter(tmp_path / "d", mask="wet") as writer:
        writer.add({"u": u, **({"wet": mask} if moving else {})}, static={} if moving else {"wet": mask[0]})
    manifest, shard = shard_of(tmp_path / "d")
    assert [f.name for f in manifest.fields] == ["u"]
    assert np.array_equal(counted_points(shard, None, 0, 3), counted[3].ravel())
    with ShardWriter(tmp_path / "e", mask="!solid") as writer:
        writer.add({"u": u}, static={"solid": 1 - mask[0]})
    assert np.array_equal(counted_points(shard_of(tmp_path / "e")[1], None, 0, 3), counted[0].ravel())


def test_sets_of_points_have_masks_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    sizes, counted = (30, 47), {30: rng.random(30) > 0.3, 47: rng.random(47) > 0.3}
    with ShardWriter(tmp_path / "d", blocks=3) as writer:
        for n in sizes:
            a = PointSet(rng.random((n, 2)), {"p": rng.random((2, n, 1), np.float32)}, mask=counted[n])
            b = PointSet(rng.random((20, 3)), {"q": rng.random((2, 20, 1), np.float32)})
            writer.add(sets={"skin": a, "air": b})
    manifest, shard = shard_of(tmp_path / "d")
    assert verify_dataset(tmp_path / "d") == []
    assert list(manifest.masks) == ["skin"]
    assert manifest.counted_of("train", "skin")[0].tolist() == [counted[n].sum() for n in sizes]
    assert manifest.counted_of("train", "air")[1].tolist() == [20, 20]
    for number, n in enumerate(sizes):
        assert np.array_equal(counted_points(shard, "skin", number, 1), counted[n])
        assert (shard.frame("p", number)[~counted[n]] == 0).all()


def test_a_dataset_without_holes_is_written_as_ever(tmp_path):
    written(tmp_path / "plain", [{"u": frames(0)}])
    for number, options in enumerate(({"mask_nan": True}, {"allow_nonfinite": True})):
        written(tmp_path / f"{number}", [{"u": frames(0)}], **options)
        for path in (p for p in (tmp_path / "plain").rglob("*") if p.is_file()):
            assert path.read_bytes() == (tmp_path / f"{number}" / path.relative_to(tmp_path / "plain")).read_bytes()


def test_values_that_are_kept_are_masked_beside_it(tmp_path):
    """`allow_nonfinite` keeps NaN and counts it, as ever; and such points are never drawn."""
    counted, u = island(), frames(0)
    u[~counted] = np.nan
    u[4] = np.nan  # a run that blew up: such a frame is kept
    manifest, shard = written(tmp_path / "d", [{"u": u}], allow_nonfinite=True)
    assert manifest.mask().fill is None
    assert manifest.split("train").statistics["u"].nonfinite == np.isnan(u).sum()
    assert np.isnan(shard.frame("u", 0, 0)).sum() == 9
    assert np.array_equal(counted_points(shard, None, 0, 1), counted[0].ravel())
    assert counted_points(shard, None, 0, 4) is None


def test_importance_is_of_the_points_that_count(tmp_path):
    """What lies in the hole has no gradient at its edge; tiles without a point have none at all."""
    x = np.linspace(0, 1, 32, dtype=np.float32)
    u = np.broadcast_to(x[:, None, None], (2, 32, 32, 1)).copy()
    u[:, 8:16, 8:16] = np.nan
    manifest, shard = written(
        tmp_path / "d", [{"u": u}], mask_nan=True, mask_fill=50.0, importance=["gradient", "variance"]
    )
    assert manifest.num_tiles("gradient") == 16
    gradient, variance = (shard.importance(m).chunk(0)[0] for m in ("gradient", "variance"))
    assert (gradient == 0).sum() == (variance == 0).sum() == 1  # 8 × 8 points, one tile
    np.testing.assert_allclose(gradient[gradient > 0], 1, rtol=2e-3)
    np.testing.assert_allclose(variance[variance > 0], 1, rtol=2e-3)


@pytest.mark.parametrize("moving", [False, True])
def test_importance_that_is_added_later_is_the_same(tmp_path, moving):
    u = frames(0)
    u[~island(moving)] = np.nan
    options = {"mask_nan": True, "blocks": 4}
    _, one = written(tmp_path / "one", [{"u": u}, {"u": frames(1)}], importance=["gradient", "variance"], **options)
    written(tmp_path / "other", [{"u": u}, {"u": frames(1)}], **options)
    add_importance(tmp_path / "other", ["gradient", "variance"])
    manifest, other = shard_of(tmp_path / "other")
    assert manifest.mask() is not None
    for metric in ("gradient", "variance"):
        assert np.array_equal(*(shard.importance(metric).chunk(0)[: 2 * STEPS] for shard in (one, other)))
    assert np.array_equal(counted_points(other, None, 0, 1), island(moving)[1].ravel())


ALL = np.ones(SHAPE, bool)
REFUSED = {
    "a frame without points": (
        {"mask": np.stack([ALL, ALL, ~ALL, ALL, ALL])},
        {},
        "frame 2 of .* no point that counts",
    ),
    "a trajectory without points": ({"mask": ~ALL}, {}, "no point that counts"),
    "another shape": ({"mask": np.ones((8, 11), bool)}, {}, r"its mask has shape \(8, 11\), frames have \(8, 12\)"),
    "other steps": ({"mask": np.ones((4, *SHAPE), bool)}, {}, r"its mask has shape \(4, 8, 12\)"),
    "no such variable": ({}, {"mask": "land"}, "no variable 'land' for a mask: name one of"),
    "the only field": ({}, {"mask": "u"}, "no field that changes in time beside the mask 'u'"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_bad_masks_are_refused_in_one_line_and_nothing_stays(tmp_path, name):
    given, options, match = REFUSED[name]
    with pytest.raises(UpsDataError, match=match) as error, ShardWriter(tmp_path / "d", **options) as writer:
        writer.add({"u": frames(0)}, key="a", **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


def test_a_nan_where_a_point_counts_is_refused_still(tmp_path):
    u = frames(0)
    u[0, 0, 0] = np.nan
    with pytest.raises(UpsDataError, match="1 values that are NaN.*--mask-nan"), ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": u}, mask=island()[0])
