"""The integer hash behind every random choice of the project.

A counter-based generator has no state to carry: the value for (seed, epoch, …) is computed where it is needed, so that
order and points cannot depend on which process, thread or batch asks. The mixer is the finaliser of SplitMix64
(Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix64(x: np.ndarray) -> np.ndarray:
    """The finaliser, in place: a bijection of uint64 whose output bits each depend on every input bit."""
    scratch = x >> np.uint64(30)
    x ^= scratch
    x *= _M1
    np.right_shift(x, np.uint64(27), out=scratch)
    x ^= scratch
    x *= _M2
    np.right_shift(x, np.uint64(31), out=scratch)
    x ^= scratch
    return x


def hash_key(*parts: int | np.ndarray) -> np.ndarray:
    """One uint64 for each tuple of integers, given as scalars or as arrays of one length: (B,), B ≥ 1.

    Each part is absorbed by one round of the mixer, so that no part can make up for another as in a sum of parts.
    """
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = mix64(key + (np.atleast_1d(np.asarray(part, np.int64)).view(np.uint64) + np.uint64(1)) * GOLDEN)
    return key
