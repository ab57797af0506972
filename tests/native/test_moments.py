"""Moments that are summed natively are those of numpy in float64."""

import numpy as np
import pytest

from ups_data import _native as module
from ups_data.writing.statistics import FieldMoments

native = module.native
pytestmark = pytest.mark.skipif(native is None, reason="the native module was not built: no C compiler at installation")


def found(values: np.ndarray, less: np.ndarray | None = None) -> np.ndarray | None:
    out = np.zeros((4, values.shape[1]))
    out[2], out[3] = np.inf, -np.inf
    given = [None if x is None else x.reshape(-1).view(np.uint8) for x in (values, less)]
    return out if native.moments(given[0], given[1], values.itemsize == 8, out) else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (63, 1), (64, 1), (100_003, 1), (50_001, 3), (7, 5), (999, 64)])
def test_numbers(shape, dtype):
    random = np.random.default_rng(0)
    values, less = (1e3 + random.standard_normal((2, *shape))).astype(dtype)
    for got, x in (
        (found(values), values.astype(np.float64)),
        (found(values, less), values.astype(np.float64) - less.astype(np.float64)),
    ):
        np.testing.assert_allclose(got[0], x.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got[1], ((x - x.mean(0)) ** 2).sum(0), rtol=1e-9, atol=1e-15)
        assert (got[2:] == [x.min(0), x.max(0)]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70, 9_999, -1])
def test_a_value_that_is_not_finite_is_noticed(place, value):
    values = np.ones((10_001, 2), np.float32)
    assert found(values) is not None
    values[place, 1] = value
    assert found(values) is None
    assert found(np.ones_like(values), values) is None


def test_sizes_are_checked():
    values = np.ones(12, np.uint8)
    for channels, less in ((2, None), (0, None), (65, None), (3, values[:8])):
        with pytest.raises(ValueError, match="bytes"):
            native.moments(values, less, False, np.zeros((4, channels)))


def test_frames_with_and_without_numpy(monkeypatch):
    """Frames that come one by one or several at once, and of which some are not finite."""
    random = np.random.default_rng(0)
    frames = random.standard_normal((7, 11, 13, 2)).astype(np.float32)
    frames[4, 3, 3, 1] = np.nan

    def taken() -> dict:
        moments = FieldMoments(2)
        for part in (frames[:1], frames[1:2], frames[2:], frames[:3]):
            moments.update(part)
        return moments.to_json()

    natively = taken()
    monkeypatch.setattr(module, "native", None)
    by_numpy = taken()
    for kind in ("values", "deltas"):
        assert natively[kind]["nonfinite"] == by_numpy[kind]["nonfinite"] > 0
        for name in ("count", "mean", "squares", "min", "max"):
            np.testing.assert_allclose(natively[kind][name], by_numpy[kind][name], rtol=1e-12, atol=1e-12)
