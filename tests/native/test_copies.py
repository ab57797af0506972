"""Runs of bytes that are copied natively are the bytes, wherever they lie and however long they are."""

import numpy as np
import pytest

from ups_data import _native as module

native = module.native
pytestmark = pytest.mark.skipif(native is None, reason="the native module was not built: no C compiler at installation")
PAST_THE_CACHES = (1 << 18) + 777  # numbers of a batch that is copied so, which no line of a cache divides


def at(offset, count):
    """`count` numbers that begin so many numbers after a cache line."""
    memory = np.empty(count + 64, np.float32)
    first = -(memory.ctypes.data // 4) % 16 + offset
    return memory[first : first + count]


@pytest.mark.parametrize("points", [1, 5, 331, PAST_THE_CACHES])
@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_coordinates_are_scaled_as_they_are_copied(points, components, offset):
    rng = np.random.default_rng(points)
    size = points * components
    data, low = rng.random(2 * size + 9, np.float32), rng.random(components, np.float32)
    starts = np.array([4 * (size + offset), 0], np.int64)
    out = at(offset, 2 * size)
    native.stack_scaled([data], np.zeros(2, np.int64), starts, points, low, 1.7, out)
    for number, start in enumerate(starts // 4):
        expected = (data[start : start + size].reshape(-1, components) - low) * np.float32(1.7)
        np.testing.assert_array_equal(out[number * size : (number + 1) * size].reshape(-1, components), expected)


@pytest.mark.parametrize("size", [1, 63, 4096, 4 * PAST_THE_CACHES + 3])
@pytest.mark.parametrize("offset", [0, 4, 29])
def test_runs_are_copied(size, offset):
    data = np.random.default_rng(size).integers(0, 256, 2 * size + 70, np.uint8)
    starts = np.array([size + offset, 3], np.int64)
    out = at(0, size + offset).view(np.uint8)[offset : offset + 2 * size]
    native.stack([data], np.zeros(2, np.int64), starts, size, out)
    np.testing.assert_array_equal(out, np.concatenate([data[start : start + size] for start in starts]))
