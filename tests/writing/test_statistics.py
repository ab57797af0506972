import json

import numpy as np
import pytest

from tests.datasets import write_grid
from ups_data import ShardWriter
from ups_data.schema import Manifest
from ups_data.writing.statistics import Moments

NUMBERS = ("count", "mean", "squares", "min", "max")


def test_one_pass_equals_two(tmp_path):
    runs = write_grid(tmp_path / "d")
    s = Manifest.load(tmp_path / "d").splits["train"].statistics["u"]
    values = np.concatenate([u.reshape(-1, 2) for u in runs]).astype(np.float64)
    deltas = np.concatenate([np.diff(u.astype(np.float64), axis=0).reshape(-1, 2) for u in runs])
    for got, want in [
        (s.mean, values.mean(0)),
        (s.std, values.std(0)),
        (s.rms, np.sqrt((values**2).mean(0))),
        (s.min, values.min(0)),
        (s.max, values.max(0)),
        (s.delta_mean, deltas.mean(0)),
        (s.delta_std, deltas.std(0)),
        (s.delta_rms, np.sqrt((deltas**2).mean(0))),
    ]:
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    assert s.count == len(values)


def test_a_large_mean_does_not_swallow_the_variance():
    moments = Moments(1)
    x = 1e8 + np.random.default_rng(0).standard_normal(30_000)
    for part in np.array_split(x, 7):
        moments.update(part[:, None])
    assert moments.std[0] == pytest.approx(np.std(x), rel=1e-9)


def test_values_that_are_not_finite_are_counted_and_left_out(tmp_path):
    u = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
    u[1, 2, 3, 0], u[2, 0, 0, 1] = np.nan, np.inf
    with ShardWriter(tmp_path / "d", allow_nonfinite=True) as writer:
        writer.add({"u": u})
    s = Manifest.load(tmp_path / "d").splits["train"].statistics["u"]
    flat = u.reshape(-1, 2).astype(np.float64)
    assert s.nonfinite == 2
    for c in range(2):
        finite = flat[np.isfinite(flat[:, c]), c]
        assert s.mean[c] == pytest.approx(finite.mean(), rel=1e-12)
        assert s.std[c] == pytest.approx(finite.std(), rel=1e-12)
        assert s.max[c] == finite.max()


def test_values_of_one_channel_that_are_not_finite_are_left_out_of_it_alone(tmp_path):
    """Counted by values, not by points; the steps to and from such a value are left out too."""
    u = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
    u[1, 2, 3], u[2, 0, 0, 0] = np.nan, -np.inf
    with ShardWriter(tmp_path / "d", allow_nonfinite=True) as writer:
        writer.add({"u": u})
    s = Manifest.load(tmp_path / "d").splits["train"].statistics["u"]
    assert (s.nonfinite, s.count) == (3, 4 * 36 - 1)
    values, steps = (x.reshape(-1, 2) for x in (u.astype(np.float64), np.diff(u.astype(np.float64), axis=0)))
    for c in range(2):
        finite, stepped = (x[np.isfinite(x[:, c]), c] for x in (values, steps))
        assert (s.mean[c], s.std[c]) == (
            pytest.approx(finite.mean(), rel=1e-12),
            pytest.approx(finite.std(), rel=1e-12),
        )
        assert (s.min[c], s.max[c]) == (finite.min(), finite.max())
        assert s.delta_mean[c] == pytest.approx(stepped.mean(), rel=1e-12)
        assert s.delta_std[c] == pytest.approx(stepped.std(), rel=1e-12)


def test_splits_have_statistics_of_their_own(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": np.full((3, 4, 4, 1), 1, np.float32)}, split="train")
        writer.add({"u": np.full((3, 4, 4, 1), 5, np.float32)}, split="valid")
    splits = Manifest.load(tmp_path / "d").splits
    assert (splits["train"].statistics["u"].mean, splits["valid"].statistics["u"].mean) == ([1.0], [5.0])


def test_parameters_and_time_steps_are_summarised(tmp_path):
    write_grid(tmp_path / "d")
    split = Manifest.load(tmp_path / "d").splits["train"]
    nu = 0.1 * np.arange(5)
    assert split.params["nu"].mean == pytest.approx(nu.mean())
    assert split.params["nu"].std == pytest.approx(nu.std())
    assert (split.time_step.min, split.time_step.mean, split.time_step.std) == (0.5, 0.5, 0.0)


def test_moments_of_parts_merge(tmp_path):
    """Parts of any size, one of them empty, as they are kept between runs of a conversion."""
    x = 1e6 + np.random.default_rng(0).standard_normal((1000, 2))
    x[3, 1] = np.nan
    whole, merged = Moments(2), Moments(2)
    whole.update(x)
    for part in (x[:7], x[7:7], x[7:600], x[600:]):
        moments = Moments(2)
        moments.update(part)
        kept = Moments.from_json(json.loads(json.dumps(moments.to_json())))
        assert [getattr(kept, n).tobytes() for n in NUMBERS] == [getattr(moments, n).tobytes() for n in NUMBERS]
        merged.merge(kept)
    assert (merged.count.tolist(), merged.nonfinite) == ([1000, 999], 1)
    for name in ("mean", "std", "rms", "min", "max"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-9)
