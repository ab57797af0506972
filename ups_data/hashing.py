"""The integer hash behind every random choice of the project.

A counter-based generator has no state to carry: the value for (seed, epoch, …) is computed where it is needed, so that
order and points cannot depend on which process, thread or batch asks. The mixer is the finaliser of splitmix64 (Steele,
Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, with Stafford's variant 13 of the
constants).
Everything is numpy ufuncs on whole arrays, which release the GIL.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: the counter's stride
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


def mix64(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64, in place."""
    t = z >> _S30
    z ^= t
    z *= _MIX1
    np.right_shift(z, _S27, out=t)
    z ^= t
    z *= _MIX2
    np.right_shift(z, _S31, out=t)
    z ^= t
    return z


def absorb(key: NDArray[np.uint64], part: ArrayLike) -> NDArray[np.uint64]:
    """Child keys: number `part` of each key's sequence. Integers are taken modulo 2^64."""
    if isinstance(part, int):
        counter = np.array([(part + 1) % 2**64], np.uint64)  # an array: numpy's scalars warn where arrays wrap around
    else:
        counter = np.atleast_1d(np.asarray(part, np.int64)).astype(np.uint64) + np.uint64(1)
    counter *= GOLDEN
    return mix64(key + counter)


def hash_key(*parts: ArrayLike) -> NDArray[np.uint64]:
    """One number for each tuple of integers, given as scalars or as arrays of one length: `(B,)` uint64, B ≥ 1.

    Each part is absorbed by a round of the mixer, so that neighbouring tuples give unrelated keys and no part can make
    up for another, as in a sum of parts.
    """
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = absorb(key, part)
    return key
