"""Blocks whose points are looked up by their numbers say what blocks that know everything say."""

import numpy as np
import pytest

from ups_data import UpsDataError
from ups_data.points.blocks import point_blocks
from ups_data.points.lookup.slotted import slotted_blocks


@pytest.mark.parametrize(("points", "slots"), [(97, 10), (100, 10), (7, 7), (5, 1)])
def test_they_are_the_same_blocks(points: int, slots: int) -> None:
    whole = point_blocks(np.random.default_rng(points).random((points, 2)), block_points=slots)
    found = slotted_blocks(whole.by_block, points, len(whole), "here")
    np.testing.assert_array_equal(found.slots, whole.slots)
    np.testing.assert_array_equal(found.index, whole.index)
    np.testing.assert_array_equal(found.counts, whole.counts)
    assert (found.block_points, found.num_points, found.full) == (slots, points, whole.full)
    np.testing.assert_array_equal(found.bursts.place, whole.bursts.place)


@pytest.mark.parametrize(("slot", "wrong"), [(3, -2), (3, -1), (3, 97), (3, 2**31 - 1), (99, 0), (99, -2)])
def test_what_is_no_permutation_is_refused(slot: int, wrong: int) -> None:
    whole = point_blocks(np.random.default_rng(0).random((97, 2)), block_points=10)
    index = whole.index.copy()
    index[slot] = wrong  # the last slot is empty
    with pytest.raises(UpsDataError, match="here is no permutation of 97 points"):
        slotted_blocks(index.reshape(10, 10), 97, 10, "here")
