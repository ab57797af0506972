"""Several modes in one draw, without repeats and with the exact inclusion probability of their union."""

import math

import numpy as np
from numpy.typing import NDArray

from ups_data.points.domain import Domain
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode_options import Mixture
from ups_data.sampling.modes.importance import draw_places, expected_counts, inclusion, per_query, tiles_for
from ups_data.sampling.modes.stratified import jittered
from ups_data.sampling.modes.uniform import distinct_integers
from ups_data.sampling.random import child_keys

EQUAL = {"stratified": jittered, "uniform": distinct_integers}


def draw_mixture(
    domain: Domain,
    keys: NDArray[np.uint64],
    count: int,
    mixture: Mixture,
    importance: NDArray[np.floating] | None,
    floor: float,
) -> Draw:
    """Draw each mode's share of the Q points, one mode after another, each from the points that are left.

    Importance draws first: Q_0 points, a point of tile k with probability π_0 = n_k / N_k. Every mode that follows
    treats the points that are left alike, whatever was drawn before: of M left it draws Q_c, so that a point left
    stays out with probability (M - Q_c) / M. These factors do not depend on the points drawn, and their product
    telescopes, with N the number of points:

        1 - π = (1 - π_0) (N - Q) / (N - Q_0)

    exactly, and the weight is Q / (N π). Without importance π = Q / N. `stratified` lays its segments along what is
    left of the curve.

    Args:
        keys: `(B,)` uint64.
        count: Q, 1 to N - 1, shared out by `shares_of`.
        mixture: modes and shares, `importance` first if it takes part.
        importance, floor: as in `draw_importance`.

    Returns:
        index `(B, Q)`, mode by mode; weight `(B, Q)` float32, None where no point is preferred.

    Raises:
        UpsDataError: as `draw_importance`.
    """
    total = domain.num_points
    shares = shares_of(mixture, count)
    preferred = shares.get("importance", 0)
    place = np.empty((len(keys), 0), np.int64)
    weight = None
    if preferred and importance is not None:
        tiles = tiles_for(domain, keys, importance)
        expected = expected_counts(importance, tiles.sizes, preferred, floor)
        place, _ = draw_places(tiles, expected, child_keys(keys, 0), preferred)
    for number, (mode, share) in enumerate(shares.items()):
        if share and mode != "importance":
            among_left = EQUAL[mode](child_keys(keys, number), share, total - place.shape[1])
            place = np.concatenate([place, _not_taken(np.sort(place, axis=1), among_left, total)], axis=1)
    index = domain.curve.take(place, mode="clip")
    if preferred and importance is not None:
        out = (1.0 - inclusion(tiles, expected)) * ((total - count) / (total - preferred))
        weight = per_query(count / (total * (1.0 - out)), tiles.of_point[index])
    return Draw(index, weight)


def shares_of(mixture: Mixture, count: int) -> dict[str, int]:
    """Each mode's number of points: share · Q rounded down, and what is missing to Q by the largest remainders."""
    shares: dict[str, int] = {mode: math.floor(share * count + 1e-9) for mode, share in mixture}
    by_remainder = sorted(mixture, key=lambda item: shares[item[0]] - item[1] * count)
    for mode, _ in by_remainder[: count - sum(shares.values())]:
        shares[mode] += 1
    return shares


def _not_taken(taken: NDArray[np.int64], nth: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """The places of those that are left: number `nth` of the places that are not taken.

    Args:
        taken: `(B, T)` places, ascending. Before taken[j] lie taken[j] - j places that are left.
        nth: `(B, Q)` in [0, total - T).
    """
    if taken.shape[1] == 0:
        return nth
    rows = np.arange(len(taken), dtype=np.int64)[:, None]
    left_before = taken - np.arange(taken.shape[1]) + rows * total
    passed = np.searchsorted(left_before.ravel(), (nth + rows * total).ravel(), side="right").reshape(nth.shape)
    return nth + passed - rows * taken.shape[1]
