"""Frames that are arrays in memory are the arrays."""

import numpy as np
import pytest

from ups_data.batch.frames.in_memory import ArrayFrames


@pytest.mark.parametrize(("start", "stop", "step"), [(0, 6, 1), (2, 5, 1), (1, 6, 2), (0, 5, 3)])
def test_parts_of_them(start: int, stop: int, step: int) -> None:
    arrays = [np.full((4, 2), i, np.float32) for i in range(6)]
    part = ArrayFrames(arrays).part(start, stop, step)
    assert len(part) == len(arrays[start:stop:step])
    out = np.empty((len(part), 4, 2), np.float32)
    part.read().stack(out)
    np.testing.assert_array_equal(out, arrays[start:stop:step])
