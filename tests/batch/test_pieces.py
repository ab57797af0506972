"""The copies that make batches, natively and with numpy, against what they are defined to be."""

import numpy as np
import pytest

from ups_data import _native as module
from ups_data.batch.frames.pieces import Pieces, pieces_of
from ups_data.points.blocks import Blocks

RNG = np.random.default_rng(0)


@pytest.fixture(params=["native", "numpy"], autouse=True)
def way(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(module, "native", None)
    elif module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")


def scattered(frames, pieces, points, channels, dtype):
    """Frames whose pieces lie in any order, at any byte, in two buffers; and the frames themselves."""
    truth = RNG.standard_normal((frames, pieces * points, channels)).astype(dtype)
    size = points * channels * truth.itemsize
    order = RNG.permutation(frames * pieces)
    buffer, offset = np.empty((2, frames, pieces), np.int64)
    memory = [bytearray(frames * pieces * (size + 4)), bytearray(frames * pieces * (size + 4))]
    for place, number in enumerate(order):
        i, j = divmod(number, pieces)
        buffer[i, j], offset[i, j] = place % 2, place * (size + 4)
        body = truth[i, j * points : (j + 1) * points].tobytes()
        memory[place % 2][offset[i, j] : offset[i, j] + size] = body
    return Pieces([bytes(m) for m in memory], buffer, offset, points, channels, np.dtype(dtype)), truth


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_take(channels, dtype):
    stored, truth = scattered(3, 4, 10, channels, dtype)
    for index in (
        RNG.integers(0, 40, (3, 25)),
        np.sort(RNG.integers(0, 40, (3, 25)), axis=1),
        np.tile(np.arange(40), (3, 1)),
        np.broadcast_to(np.arange(5, 15), (3, 10)),
        np.zeros((3, 0), np.int64),
    ):
        out = np.full((3, index.shape[1], channels), np.nan, dtype)
        stored.take(index, out)
        np.testing.assert_array_equal(out, np.take_along_axis(truth, index[..., None], 1))


@pytest.mark.parametrize("points", [3, 1000, 100_000])  # batches that stay in the caches, and that do not
@pytest.mark.parametrize(("pieces", "channels"), [(1, 1), (1, 4), (3, 4)])
def test_stack(points, pieces, channels):
    stored, truth = scattered(5, pieces, points, channels, "float32")
    out = np.full_like(truth, np.nan)
    stored.stack(out)
    np.testing.assert_array_equal(out, truth)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize(("pieces", "points"), [(5, 7), (3, 16), (20, 33), (1, 40), (2050, 17)])
def test_restore_with_empty_slots(channels, pieces, points):
    stored, truth = scattered(2, pieces, points, channels, "float32")
    index = np.full((pieces, points), -1, np.int32)
    total = pieces * points - pieces // 2
    counts = np.full(pieces, points)
    counts[len(counts) - pieces // 2 :] -= 1
    filled = np.arange(points) < counts[:, None]
    index[filled] = RNG.permutation(total)
    index = index.reshape(-1)
    out = np.full((2, total, channels), np.nan, "float32")
    stored.restore(Blocks(index, counts), out)
    np.testing.assert_array_equal(out[:, index[index >= 0]], truth[:, index >= 0])


@pytest.mark.parametrize("points", [1, 5, 4000, 70_000])
def test_stacked_numbers_are_widened(points):
    truth = RNG.integers(-(2**31), 2**31, (3, points), dtype=np.int32)
    frames = pieces_of([row[:, None] for row in truth])
    for first in (0, 1):  # aligned, and not
        out = np.zeros(3 * points + first, np.int64)[first:].reshape(3, points)
        frames.stack_widened(out)
        np.testing.assert_array_equal(out, truth)


def test_pieces_that_are_left_out_are_zeros():
    stored, truth = scattered(2, 3, 4, 2, "float32")
    stored.buffer[1, 2] = stored.offset[1, 2] = -1
    np.testing.assert_array_equal(stored.array(1), np.concatenate([truth[1, :8], np.zeros((4, 2))]))


def test_array_is_a_view_of_one_piece():
    frame = RNG.standard_normal((6, 2)).astype("float32")
    stored = pieces_of([frame])
    assert np.shares_memory(stored.array(0), frame)


@pytest.mark.parametrize("point", [-1, 40, 2**40])
def test_a_point_outside_is_an_error(point):
    stored, _ = scattered(3, 4, 10, 4, "float32")
    index = RNG.integers(0, 40, (3, 6))
    index[1, 3] = point
    if point == -1 and module.native is None:
        pytest.skip("numpy counts from the end")
    with pytest.raises(IndexError):
        stored.take(index, np.empty((3, 6, 4), "float32"))


def test_a_piece_outside_its_buffer_is_an_error():
    stored, _ = scattered(3, 1, 10, 4, "float32")
    stored.offset[2, 0] += 10**9
    with pytest.raises((IndexError, ValueError)):
        stored.take(np.zeros((3, 6), np.int64), np.empty((3, 6, 4), "float32"))
    with pytest.raises((IndexError, ValueError)):
        stored.stack(np.empty((3, 10, 4), "float32"))


def test_a_piece_that_was_not_read_is_an_error():
    stored, _ = scattered(2, 3, 10, 4, "float32")
    stored.buffer[1, 2] = -1
    if module.native is None:
        pytest.skip("numpy counts from the end")
    out = np.empty((2, 1, 4), "float32")
    stored.take(np.array([[25], [15]]), out)
    with pytest.raises(IndexError):
        stored.take(np.array([[25], [25]]), out)
