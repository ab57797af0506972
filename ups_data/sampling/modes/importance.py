"""Tiles in proportion to their importance, points uniformly inside, and the weights that undo the preference."""

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.hashing import GOLDEN, mix64
from ups_data.points.domain import Domain
from ups_data.points.tiles import Tiles, tiles_in
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode, Preferred, Request
from ups_data.sampling.random import child_keys, random_bits, random_integers

# Expected counts are whole multiples of 2^-32, so that no rounding separates the draw from the weights.
UNIT_BITS = 32


def draw_importance(
    domain: Domain, keys: NDArray[np.uint64], count: int, importance: NDArray[np.floating], floor: float
) -> Draw:
    """Draw `count` points, tiles by importance.

    Tile k of N_k points gets `expected_counts` n_k points on average, and in each draw floor(n_k) or ceil(n_k), by
    systematic resampling along the curve (Madow, 1949; Kitagawa, 1996): with one u uniform in [0, 1) per sample, as
    many as there are integers in (C_{k-1} + u, C_k + u], C the cumulative n. Inside the tile every point is
    as likely as any other, so that its inclusion probability is π = n_k / N_k exactly, and its weight Q / (N π).

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N.
        importance: `(B, K)` importance per point of each tile; see `expected_counts`.
        floor: share of the queries that is spread evenly.

    Returns:
        index `(B, Q)`, in the order of the tiles; weight `(B, Q)` float32.

    Raises:
        UpsDataError: `importance` has not a row per key, or more tiles than there are points.
    """
    tiles = tiles_for(domain, keys, importance)
    expected = expected_counts(importance, tiles.sizes, count, floor)
    place, tile = draw_places(tiles, expected, keys, count)
    with np.errstate(divide="ignore"):  # of tiles without points
        weight = count / (domain.num_points * inclusion(tiles, expected))
    return Draw(tiles.curve.take(place, mode="clip"), per_query(weight, tile))


def tiles_for(domain: Domain, keys: NDArray[np.uint64], importance: NDArray[np.floating]) -> Tiles:
    """The tiles that rows of importance speak of.

    Raises:
        UpsDataError: `importance` has not a row per key, or more tiles than there are points.
    """
    if importance.ndim != 2 or len(importance) != len(keys):
        raise UpsDataError(
            f"importance has shape {importance.shape}: give a row of tiles for each of {len(keys)} samples"
        )
    return tiles_in(domain, importance.shape[1])


def expected_counts(
    importance: NDArray[np.floating], sizes: NDArray[np.int64], count: int, floor: float
) -> NDArray[np.int64]:
    """How many points each tile gets on average, in units of 2^-32, so that Q is exact: `(B, K)` int64.

    With w the importance and f the floor, n_k is in proportion to N_k ((1 - f) w_k / mean(w) + f), the mean over the
    points. A tile never gets more points than it has: what exceeds N_k spills over to the others in proportion
    to theirs (water-filling), so that the inclusion probability n_k / N_k remains known.

    Rows that are zero everywhere, or hold a NaN, an infinite or a negative value, count as equal everywhere.

    Args:
        importance: `(B, K)`, of any float type, any scale.
        sizes: `(K,)`, N_k; 0 of a tile of which no point counts.
        count: Q, below the sum of N_k.
        floor: in (0, 1].
    """
    mass = np.array(importance, np.float64)
    mass[:, sizes == 0] = 0.0  # tiles of which no point counts
    with np.errstate(invalid="ignore"):
        largest = mass.max(axis=1, keepdims=True)  # NaN where the row holds one
        useless = ~((mass.min(axis=1, keepdims=True) >= 0) & (largest > 0) & np.isfinite(largest))[:, 0]
    if useless.any():
        mass[useless] = largest[useless] = 1.0
    mass /= largest
    mass *= sizes
    mass *= (1.0 - floor) / mass.sum(axis=1, keepdims=True)
    mass += sizes * (floor / sizes.sum())
    expected = mass * count
    rows = np.flatnonzero((expected > sizes).any(axis=1))
    if len(rows):
        expected[rows] = _spilled(mass[rows], expected[rows] > sizes, sizes, count)
    return _in_units(expected, sizes, count)


def inclusion(tiles: Tiles, expected: NDArray[np.int64]) -> NDArray[np.float64]:
    """π of the points of each tile, `(B, K)`, from the expected counts."""
    return expected * (2.0**-UNIT_BITS / np.maximum(tiles.sizes, 1))


def per_query(weight: NDArray[np.float64], tile: NDArray[np.integer]) -> NDArray[np.float32]:
    """The weights of the tiles `(B, K)` at the tiles `(B, Q)` of the queries: `(B, Q)` float32."""
    entry = tile + np.arange(len(tile))[:, None] * weight.shape[1]
    return weight.astype(np.float32).ravel()[entry]


def draw_places(
    tiles: Tiles, expected: NDArray[np.int64], keys: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places on the curve and the tiles that they lie in, `(B, Q)` each, in the order of the tiles.

    A tile's m points are one jittered point in each of m equal stretches of the tile, shifted around inside it by a
    uniform offset, as in `draw_stratified`.
    """
    ends = np.cumsum(expected, axis=1)
    ends += (random_bits(keys, 1) >> np.uint64(64 - UNIT_BITS)).view(np.int64)
    ends >>= UNIT_BITS  # how many points lie before the end of each tile
    number = np.diff(ends, axis=1, prepend=0)
    of_row = np.arange(len(keys))[:, None] * len(tiles)
    entry = np.repeat(np.arange(number.size), number.ravel()).reshape(len(keys), count)
    tile = entry - of_row
    size, of_tile = tiles.sizes[tile], number.ravel()[entry]
    nth = np.arange(count) - (ends - number).ravel()[entry]
    stretch = size // of_tile
    longer = size - stretch * of_tile  # so many stretches are longer by one
    place = nth * stretch + np.minimum(nth, longer)
    stretch += nth < longer
    longest = int(tiles.sizes.max())
    place += random_integers(child_keys(keys, 1), count, stretch, largest=longest)
    place += _shift(child_keys(keys, 2), tile, size, longest)
    np.subtract(place, size, out=place, where=place >= size)
    place += tiles.bounds[tile]
    return place, tile


def _shift(
    keys: NDArray[np.uint64], tile: NDArray[np.int64], size: NDArray[np.int64], longest: int
) -> NDArray[np.int64]:
    """A uniform integer in [0, size), the same for all points of a tile: number `tile` of each key's sequence."""
    bits = mix64(keys[:, None] + (tile.view(np.uint64) + np.uint64(1)) * GOLDEN)
    width = longest.bit_length()
    return (((bits >> np.uint64(width)) * size.astype(np.uint64)) >> np.uint64(64 - width)).view(np.int64)


def _spilled(
    mass: NDArray[np.float64], full: NDArray[np.bool_], sizes: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Counts in proportion to the mass but for full tiles, which have all of theirs; every round may fill more."""
    while True:
        left = count - (full * sizes).sum(axis=1, keepdims=True)
        free = np.where(full, 0.0, mass)
        expected = np.where(full, sizes, free * (left / free.sum(axis=1, keepdims=True)))
        above = (expected > sizes) & ~full
        if not above.any():
            return expected
        full |= above


def _in_units(expected: NDArray[np.float64], sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Real counts that sum to Q but for rounding → whole units that sum to Q exactly, none above its tile's size."""
    whole = count << UNIT_BITS
    ends = np.rint(np.cumsum(expected, axis=1) * 2.0**UNIT_BITS).astype(np.int64)
    np.minimum(ends, whole, out=ends)
    ends[:, -1] = whole
    units = np.diff(ends, axis=1, prepend=0)
    room = (sizes << UNIT_BITS) - units
    if (room < 0).any():  # by a unit or two
        np.minimum(units, sizes << UNIT_BITS, out=units)
        np.maximum(room, 0, out=room)
        before = np.cumsum(room, axis=1) - room
        units += np.clip(whole - units.sum(axis=1, keepdims=True) - before, 0, room)
    return units


def _places(request: Request) -> Preferred:
    """Its part of a mixture."""
    assert request.importance is not None
    tiles = tiles_for(request.domain, request.keys, request.importance)
    expected = expected_counts(request.importance, tiles.sizes, request.count, request.floor)
    place, _ = draw_places(tiles, expected, request.keys, request.count)
    return Preferred(place, inclusion(tiles, expected), tiles)


def _drawn(request: Request) -> Draw:
    assert request.importance is not None
    return draw_importance(request.domain, request.keys, request.count, request.importance, request.floor)


IMPORTANCE = Mode(
    "importance",
    _drawn,
    needs_coordinates=True,
    needs_importance=True,
    along_curve=True,
    preferred_places=_places,
)
