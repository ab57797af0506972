"""Channels of packs, copied as a field of its own."""

import numpy as np
import pytest

from ups_data.batch.frames import PackedPieces


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first", "channels", "total"), [(7, 1, 8), (1, 2, 8), (0, 3, 8), (3, 4, 8), (2, 9, 12)])
@pytest.mark.parametrize("start", [0, 3])  # what comes over a network begins at any byte
def test_channels_of_a_pack(dtype: type, first: int, channels: int, total: int, start: int) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (4, 5, total * np.dtype(dtype).itemsize), np.uint8)  # NaN, too
    buffer, offset = np.array([[0, 0], [-1, 0]]), np.array([[1, 3], [0, 0]]) * stored[0].nbytes + start
    kind = 5, channels, np.dtype(dtype), first, total
    pieces = PackedPieces([bytes(start) + stored.tobytes()], buffer, offset, *kind)
    out = np.full((2, 10, channels), 7, dtype)
    pieces.stack(out)
    whole = stored.view(dtype)[..., first : first + channels]
    expected = np.stack([np.concatenate([whole[1], whole[3]]), np.concatenate([np.zeros_like(whole[0]), whole[0]])])
    assert out.tobytes() == expected.tobytes()
