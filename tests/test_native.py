"""The native module draws the very numbers that numpy draws."""

import numpy as np
import pytest

from ups_data import native as module
from ups_data.hashing import hash_key
from ups_data.sampling.random import random_bits, random_integers

KEYS = hash_key(7, np.arange(5))


@pytest.fixture
def both(monkeypatch):
    """Calls something natively and with numpy."""
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")

    def call(function, *args, **options):
        natively = function(*args, **options)
        with monkeypatch.context() as patch:
            patch.setattr(module, "native", None)
            return natively, function(*args, **options)

    return call


@pytest.mark.parametrize("counter", [0, 1, 10**12])
def test_bits(both, counter):
    natively, plainly = both(random_bits, KEYS, 1001, counter)
    np.testing.assert_array_equal(natively, plainly)
    assert len(np.unique(natively)) == natively.size


@pytest.mark.parametrize("bound", [1, 10, 16_384, 2**31 - 1, np.arange(1, 1002), np.array([9])])
def test_integers(both, bound):
    natively, plainly = both(random_integers, KEYS, 1001, bound, counter0=3)
    np.testing.assert_array_equal(natively, plainly)
    assert (natively >= 0).all()
    assert (natively < bound).all()


def test_keys_that_are_a_part_of_an_array(both):
    np.testing.assert_array_equal(*both(random_bits, KEYS[::2], 9))


def test_numbers_that_do_not_fit_are_refused():
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    with pytest.raises(ValueError, match="bounds"):
        module.native.fill_integers(KEYS, 0, 4, np.ones(3, np.uint64), np.empty((5, 4), np.uint64))
    with pytest.raises(ValueError, match="rows"):
        module.native.fill_bits(KEYS, 0, np.empty((4, 4), np.uint64))
