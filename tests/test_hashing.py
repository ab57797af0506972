"""The hash behind every random choice: its values are a promise, on which orders, points and stored blocks depend."""

import numpy as np
import pytest

from ups_data.hashing import absorb, hash_key


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ((), 0),
        ((0,), 16294208416658607535),
        ((1, 2), 16216609496213459576),
        ((2, 1), 15013291540588925986),
        ((-1, 2**63 - 1, 7), 9483795012377406068),
    ],
)
def test_known_values(parts: tuple[int, ...], value: int) -> None:
    """A change here makes other orders, points and blocks: make it on purpose only."""
    assert hash_key(*parts).tolist() == [value]


def test_arrays_are_hashed_like_numbers() -> None:
    rows = hash_key(3, np.arange(5), [9, 8, 7, 6, 5])
    assert rows.tolist() == [hash_key(3, n, 9 - n)[0] for n in range(5)]
    assert absorb(hash_key(3, 4), 5) == hash_key(3, 4, 5)
    assert hash_key(2**64 + 3) == hash_key(3)
