"""Points without repetition over consecutive epochs: every point is seen once before any is seen twice.

A cycle lasts ceil(N / Q) epochs. Its points are put into a random order, and epoch w of the cycle takes the points from
place w Q on; where Q does not divide N, the last epoch of a cycle takes what is left and begins the order again. Each
epoch by itself is a draw like any other of its mode, in which every point comes with probability Q / N. This is the
random reshuffling that training applies to samples, applied to points; see K. Mishchenko et al., "Random Reshuffling:
Simple Analysis with Vast Improvements" (2020).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ups_data.hashing import absorb
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode, Request
from ups_data.sampling.random import random_bits, random_integers

AT_ONCE = 1 << 20  # random numbers in memory


def check_cycle(mode: Mode, varying: Sequence[str]) -> None:
    """Refuse a cycle that cannot be.

    Args:
        varying: names of the options given that change a sample's draws from epoch to epoch.

    Raises:
        ValueError: one line.
    """
    if varying:
        raise ValueError(f"cycle needs draws that stay alike from epoch to epoch: leave {varying[0]} or cycle out")
    if mode.window is None:
        raise ValueError(
            f"mode {mode.name!r} does not draw without repetition: use cycle with 'uniform' or 'stratified'"
        )


def place_in_cycle(epoch: int, count: int, total: int) -> tuple[int, int]:
    """The number of the cycle that an epoch is in, and its place there."""
    return divmod(epoch, -(-total // count))


def cycle_keys(keys: NDArray[np.uint64], cycle: int) -> NDArray[np.uint64]:
    """Keys of a cycle, the same for all its epochs, from keys that hold no epoch."""
    return absorb(keys, cycle)


def uniform_window(request: Request, window: int) -> Draw:
    """Epoch `window` of a cycle of mode `uniform`, ascending: the points with the ranks window · Q … among N random
    numbers. The cost grows with N."""
    total, count = request.domain.num_points, request.count
    first, last = window * count, (window + 1) * count

    def drawn(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        numbers = _different(random_bits(keys, total), total)
        ends = np.partition(numbers, [first, (last - 1) % total], axis=1)
        behind, before = numbers >= ends[:, first, None], numbers <= ends[:, (last - 1) % total, None]
        kept = behind & before if last <= total else behind | before
        index = np.flatnonzero(kept).reshape(len(keys), count)
        index -= np.arange(len(keys), dtype=np.int64)[:, None] * total
        return index

    return Draw(_by_rows(drawn, request.keys, total))


def stratified_window(request: Request, window: int) -> Draw:
    """Epoch `window` of a cycle of mode `stratified`: each stratum has a random order of its own, and the strata stay
    where they are for the whole cycle (see `draw_stratified`). The cost grows with N."""
    total, count = request.domain.num_points, request.count
    begin = np.arange(count + 1, dtype=np.int64) * total // count
    lengths = np.diff(begin)
    longest, even = int(lengths.max()), total % count == 0

    def drawn(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        numbers = random_bits(keys, count * longest, counter0=1).reshape(len(keys), count, longest)
        numbers = _different(numbers >> np.uint64(1), longest)
        if not even:
            numbers[:, lengths < longest, -1] = np.iinfo(np.uint64).max  # a place that is not there comes last
        numbers.sort(axis=-1)
        chosen = np.take_along_axis(numbers, (window % lengths)[None, :, None], -1)[..., 0]
        place = (chosen & _mask(longest)).view(np.int64) + begin[:-1]
        if not even:
            place += random_integers(keys, 1, total)  # counter 0: the shift
            np.subtract(place, total, out=place, where=place >= total)
        return request.domain.curve.take(place).astype(np.int64, copy=False)

    return Draw(_by_rows(drawn, request.keys, count * longest))


def _different(bits: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Random numbers whose last bits are their place along the last axis, so that no two of a row are equal."""
    mask = _mask(count)
    bits &= ~mask
    bits |= np.arange(count, dtype=np.uint64)
    return bits


def _mask(count: int) -> np.uint64:
    return np.uint64((1 << (count - 1).bit_length()) - 1)


def _by_rows(
    drawn: Callable[[NDArray[np.uint64]], NDArray[np.int64]], keys: NDArray[np.uint64], numbers: int
) -> NDArray[np.int64]:
    """Some rows at a time, so that memory stays small for large N."""
    rows = max(1, AT_ONCE // numbers)
    parts = [drawn(keys[first : first + rows]) for first in range(0, len(keys), rows)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
