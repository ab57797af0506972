import numpy as np
import pytest

from ups_data.sources.lazy import LazyArray

WHOLE = np.arange(10 * 3 * 2).reshape(10, 3, 2)


@pytest.fixture
def reads():
    return []


@pytest.fixture
def lazy(reads):
    def read(start, stop):
        reads.append((start, stop))
        return WHOLE[start:stop]

    return LazyArray((10, 3, 2), WHOLE.dtype, read)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (np.s_[2:5], (2, 5)),
        (np.s_[-3:], (7, 10)),
        (np.s_[1:9:3], (1, 8)),
        (np.s_[8:2:-2], (4, 9)),
        (np.s_[4], (4, 5)),
        (np.s_[-1], (9, 10)),
        (np.s_[np.int64(3), 1], (3, 4)),
        (np.s_[2:4, :, 1], (2, 4)),
        (np.s_[2:4, ..., 1], (2, 4)),
        (np.s_[2:4, 1:, None], (2, 4)),
        (np.s_[...], (0, 10)),
        (np.s_[..., 0], (0, 10)),
        (np.s_[:], (0, 10)),
        ((), (0, 10)),
    ],
)
def test_a_slice_reads_its_rows_and_indexes_as_numpy_does(lazy, reads, key, expected):
    np.testing.assert_array_equal(lazy[key], WHOLE[key])
    assert lazy[key].shape == WHOLE[key].shape
    assert reads[0] == expected


def test_an_empty_slice_reads_nothing(lazy, reads):
    assert lazy[5:5].shape == (0, 3, 2)
    assert lazy[5:2, :, 0].shape == (0, 3)
    assert reads == []


def test_adds_missing_axes_and_turns_the_byte_order():
    swapped = np.arange(12, dtype=">f4").reshape(4, 3)
    lazy = LazyArray((4, 3, 1), swapped.dtype, lambda start, stop: swapped[start:stop])
    assert lazy.dtype == np.float32
    assert lazy.dtype.isnative
    assert lazy[1:3].dtype.isnative
    np.testing.assert_array_equal(np.asarray(lazy), swapped[..., None])


@pytest.mark.parametrize("key", [10, -11])
def test_rows_outside_are_an_index_error(lazy, key):
    with pytest.raises(IndexError):
        lazy[key]


def test_fancy_first_index_is_refused(lazy):
    with pytest.raises(TypeError, match="integer or a slice"):
        lazy[[1, 2]]
    assert len(lazy) == 10
    assert lazy.ndim == 3
