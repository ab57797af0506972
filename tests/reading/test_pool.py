"""The pool: what it drops, and what it spares."""

import numpy as np

from ups_data.reading.pool import Pool


class Numbered:
    """An array of one number a chunk; see `StoredArray`."""

    shape, chunk_shape, dtype = (100, 1), (1, 1), np.dtype(np.int64)
    chunk_rows, chunk_bytes, blocks, block_points = 1, 8, 1, 1
    mapped, fetch_seconds, read_bytes = False, 0.0, 0

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def chunk(self, number: int, out: np.ndarray | None = None) -> np.ndarray:
        self.decoded.append(number)
        return np.full((1, 1), number)


def locate(pool: Pool, array: Numbered, *numbers: int) -> list[int]:
    """The chunks that are there afterwards."""
    ((buffers, which, _),) = pool.locate([(array, np.array(numbers))])
    assert [int(buffers[b][0, 0]) for b in which.tolist()] == list(numbers)
    return [n for n in range(100) if not len(pool.lacking(array, np.array([n])))]


def test_what_coming_blocks_read_is_dropped_last() -> None:
    pool, array = Pool(3 * 8), Numbered()
    assert locate(pool, array, 0, 1, 2) == [0, 1, 2]
    pool.expect([(array, 0), (array, 7)])
    pool.expect([(array, 0)])
    assert locate(pool, array, 3, 4) == [0, 3, 4]
    assert locate(pool, array, 7) == [0, 4, 7]  # expected before it was there
    pool.expect_no_more([(array, 0), (array, 7)])
    assert locate(pool, array, 8, 9) == [0, 8, 9]  # another block still reads 0
    pool.expect_no_more([(array, 0)])
    assert locate(pool, array, 10, 11, 12) == [10, 11, 12]
    assert array.decoded == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12]


def test_what_is_expected_never_lifts_the_limit() -> None:
    pool, array = Pool(3 * 8), Numbered()
    pool.expect([(array, n) for n in range(9)])
    assert [len(locate(pool, array, n, n + 1)) for n in range(0, 8, 2)] == [2, 3, 3, 3]
    pool.expect_no_more([(array, n) for n in range(9)])
    assert len(locate(pool, array, 50)) == 3
