"""Raw chunks that a store delivered in memory of its own: they stay there, and the pool counts what they hold."""

import numpy as np
import pytest

from ups_data import ShardWriter
from ups_data.reading.pool import Pool
from ups_data.store.arrays.opening import open_array
from ups_data.store.local import LocalStore
from ups_data.store.object_store import Ranges

ROWS, POINTS = 12, 2**17
CHUNK = POINTS * 4


class Joining(LocalStore):
    """Files that are read; neighbouring ranges of an object come in one body, as from a remote store.

    Attributes:
        spare: bytes that come with every body, and belong to no range.
    """

    spare = 0

    def get_ranges(self, wanted):
        """See `ObjectStore.get_ranges`."""
        buffers, buffer, offset, length = [], [], [], []
        for opened, starts, stops in wanted:
            data = (self.root / opened.key).read_bytes()
            end = None
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                if start != end:
                    buffers.append(bytearray())
                buffer.append(len(buffers) - 1)
                offset.append(len(buffers[-1]))
                length.append(stop - start)
                buffers[-1] += data[start:stop]
                end = stop
        buffers = [bytes(body) + bytes(self.spare) for body in buffers]
        return Ranges(buffers, *(np.array(column, np.int64) for column in (buffer, offset, length)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset of one trajectory, row r of the number r."""
    path = tmp_path_factory.mktemp("raw") / "dataset"
    frames = np.repeat(np.arange(ROWS, dtype=np.float32), POINTS).reshape(ROWS, POINTS, 1)
    with ShardWriter(path, codec="none") as writer:
        writer.add({"u": frames})
    return path


def opened(folder, kind=Joining, spare=0):
    store = kind(folder, io="read")
    store.spare = spare
    (key,) = {key.partition("/c/")[0] for key, _ in store.list("") if "/fields/u/" in key and "/c/" in key}
    return open_array(store, key, where="u")


def rows(pool, array, *numbers):
    """Chunks of the pool, compared with what was written."""
    ((buffers, which, _),) = pool.locate([(array, np.array(numbers))])
    chunks = [buffers[w] for w in which.tolist()]
    for number, chunk in zip(numbers, chunks, strict=True):
        assert chunk.dtype == np.float32
        assert (chunk == number).all()
    return chunks


def held(pool, array):
    """Rows that the pool has."""
    return [n for n in range(ROWS) if not len(pool.lacking(array, np.array([n])))]


def test_chunks_are_views_of_what_came(folder):
    array = opened(folder)
    one, two, far = rows(Pool(10 * CHUNK), array, 1, 2, 7)
    assert all(not chunk.flags.writeable and chunk.base is not None for chunk in (one, two, far))
    gap = two.__array_interface__["data"][0] - one.__array_interface__["data"][0]
    assert gap == CHUNK + 4  # one body: the checksum lies between them


def test_room_is_given_back_when_the_last_chunk_of_a_body_is_dropped(folder):
    """A body counted for less than it holds would let the pool keep more; one never given back, fewer and fewer."""
    array, pool = opened(folder), Pool(4 * CHUNK)
    for _ in range(5):
        rows(pool, array, 0, 1, 2)
        for number in (3, 5, 8, 10):
            rows(pool, array, number)
        assert held(pool, array) == [3, 5, 8, 10]
    rows(pool, array, 0, 1, 2)
    assert held(pool, array) == [0, 1, 2, 10]
    rows(pool, array, 5)  # the body of rows 0 to 2 goes as a whole
    assert held(pool, array) == [5, 10]


def test_more_rows_than_fit_come_and_go(folder):
    array, pool = opened(folder), Pool(2 * CHUNK)
    for _ in range(3):
        rows(pool, array, *range(ROWS))  # some are dropped before they are there
        rows(pool, array, 3)
        rows(pool, array, 4)
        assert held(pool, array) == [3, 4]


def test_memory_of_a_dropped_body_is_never_written_to(folder):
    """Chunks that were copied give their memory to others; those that were not belong to whoever still looks."""
    array, pool = opened(folder), Pool(CHUNK)
    for number in range(ROWS):
        kept = rows(pool, array, number)[0]
        rows(pool, array, (number + 1) % ROWS)
        assert (kept == number).all()


def test_a_body_that_is_mostly_something_else_is_not_kept(folder):
    array = opened(folder, spare=CHUNK)
    (chunk,) = rows(Pool(10 * CHUNK), array, 4)
    assert chunk.flags.writeable


def test_a_store_whose_memory_is_not_its_own_is_copied_from(folder):
    class Borrowing(Joining):
        own_memory = False

    (chunk,) = rows(Pool(10 * CHUNK), opened(folder, Borrowing), 4)
    assert chunk.flags.writeable
