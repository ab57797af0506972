"""Several modes in one draw, without repeats and with the exact inclusion probability of their union."""

import functools
import math

import numpy as np
from numpy.typing import NDArray

from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mixture, Mode, Request
from ups_data.sampling.modes.importance import per_query
from ups_data.sampling.random import child_keys
from ups_data.sampling.registry import mode_named


def mixed(mixture: Mixture) -> Mode:
    """The mixture as one mode. It takes its points from the domain's curve, so it needs coordinates."""
    parts = [mode_named(name) for name, _ in mixture]
    return Mode(
        " + ".join(part.name for part in parts),
        functools.partial(draw_mixture, mixture),
        needs_coordinates=True,
        needs_grid=any(part.needs_grid for part in parts),
        needs_importance=any(part.needs_importance for part in parts),
        module=__name__,
    )


def draw_mixture(mixture: Mixture, request: Request) -> Draw:
    """Draw each mode's share of the Q points, one mode after another, each from the points that are left.

    A mode that prefers some points (importance) draws first: Q_0 points, a point of tile k with probability
    π_0 = n_k / N_k. Every mode that follows treats the points that are left alike, whatever was drawn before: of M left
    it draws Q_c, so that a point left stays out with probability (M - Q_c) / M. These factors do not depend on the
    points drawn, and their product telescopes, with N the number of points:

        1 - π = (1 - π_0) (N - Q) / (N - Q_0)

    exactly, and the weight is Q / (N π). Without such a mode π = Q / N. `stratified` lays its segments along what is
    left of the curve.

    Args:
        mixture: modes and shares; the mode that prefers some points, of which there is one at most, comes first.
        request: Q is 1 to N - 1, shared out by `shares_of`.

    Returns:
        index `(B, Q)`, mode by mode; weight `(B, Q)` float32, None where no point is preferred.

    Raises:
        UpsDataError: as the modes that are mixed.
    """
    domain, keys, count = request.domain, request.keys, request.count
    total = domain.num_points
    place = np.empty((len(keys), 0), np.int64)
    preferred = None
    for number, (name, share) in enumerate(shares_of(mixture, count).items()):
        mode, own = mode_named(name), child_keys(keys, number)
        if not share:
            continue
        if mode.preferred_places is not None:
            preferred = mode.preferred_places(Request(domain, own, share, request.importance, request.floor))
            place = preferred.place
        elif mode.equal_places is not None:
            among_left = mode.equal_places(own, share, total - place.shape[1])
            place = np.concatenate([place, _not_taken(np.sort(place, axis=1), among_left, total)], axis=1)
    index = domain.curve.take(place, mode="clip")
    if preferred is None:
        return Draw(index)
    out = (1.0 - preferred.inclusion) * ((total - count) / (total - preferred.place.shape[1]))
    return Draw(index, per_query(count / (total * (1.0 - out)), preferred.tiles.of_point[index]))


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
