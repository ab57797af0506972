"""Counter-based random numbers: every number is a pure function of its key and its place in the sequence.

No generator carries a state from one draw to the next, so a sample's points do not depend on which worker, thread,
rank or batch holds it.
"""

import enum
import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ups_data import _native as built
from ups_data.hashing import GOLDEN, absorb, hash_key, mix64


class Stream(enum.IntEnum):
    """What a draw is for. Draws of two streams of one seed are independent."""

    INPUTS = 0  # the points that the encoder itself sees
    INPUT_QUERIES = 1
    TARGET_QUERIES = 2
    LATTICE_QUERIES = 3


def sample_keys(seed: int, epoch: int, trajectory: ArrayLike, step: ArrayLike, stream: Stream) -> NDArray[np.uint64]:
    """Keys of a batch's draws, one 64-bit number per sample.

    Args:
        seed, epoch: any integers (taken modulo 2^64).
        trajectory, step: `(B,)` integers (or anything that broadcasts): the trajectory's number and the frame's.
        stream: what the draw is for.

    Returns:
        `(B,)` uint64, see `hash_key`.
    """
    return absorb(absorb(_prefix(int(seed), int(epoch), int(stream)), trajectory), step)


def random_bits(keys: NDArray[np.uint64], count: int, counter0: int = 0) -> NDArray[np.uint64]:
    """Numbers counter0 … counter0 + count - 1 of each key's sequence: `(B,)` keys → `(B, count)` uint64."""
    if built.native is not None:
        out = np.empty((len(keys), count), np.uint64)
        built.native.fill_bits(np.ascontiguousarray(keys), counter0, out)
        return out
    counters = np.arange(counter0 + 1, counter0 + 1 + count, dtype=np.uint64)
    counters *= GOLDEN
    return mix64(keys[:, None] + counters)


def child_keys(keys: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    """Number `number` of each key's sequence, `(B,)`, as the key of a sequence of its own."""
    return random_bits(keys, 1, counter0=number)[:, 0]


def random_integers(
    keys: NDArray[np.uint64],
    count: int,
    bound: int | NDArray[np.int64],
    counter0: int = 0,
    *,
    largest: int | None = None,
) -> NDArray[np.int64]:
    """Uniform integers in [0, bound), `(B, count)` int64.

    Args:
        bound: one positive integer, or positive integers that broadcast to `(B, count)`; below 2^31.
        largest: give it where the rows' bounds differ: the largest bound that any row of any batch can have. By
            default it is the largest of `bound`, on which the numbers would then depend.

    They are floor(u · bound) with u in fixed point: as many leading bits of the 64 as leave room for the product
    (33 at least, 49 for a bound of 16,384), so a value's probability is off by less than 2^-33 and no float rounds
    up to the bound.
    """
    width = int(np.max(bound) if largest is None else largest).bit_length()
    if built.native is not None and np.ndim(bound) < 2:
        numbers = np.empty((len(keys), count), np.uint64)
        bounds = np.atleast_1d(np.asarray(bound).astype(np.uint64))
        built.native.fill_integers(np.ascontiguousarray(keys), counter0, width, bounds, numbers)
        return numbers.view(np.int64)
    bits = random_bits(keys, count, counter0)
    bits >>= np.uint64(width)
    bits *= np.asarray(bound).astype(np.uint64)
    bits >>= np.uint64(64 - width)
    return bits.view(np.int64)


@functools.lru_cache(maxsize=256)  # the same for every batch of an epoch
def _prefix(seed: int, epoch: int, stream: int) -> NDArray[np.uint64]:
    return hash_key(seed, epoch, stream)
