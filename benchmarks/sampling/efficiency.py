"""How well the points drawn stand for all of them: the variance of a mean, against a uniform draw of as many points."""

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys

BATCH = 250  # draws at a time


def estimated_means(
    domain: Domain,
    sampling: QuerySampling,
    quantity: NDArray[np.floating],
    draws: int,
    seed: int,
    importance: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """The weighted mean of the points drawn, for each of `draws` draws: `(draws,)`.

    Args:
        quantity: `(N,)`, a number per point.
        importance: `(K,)` of the tiles, for mode `importance`.

    Raises:
        UpsDataError: as `draw_queries`.
    """
    means = []
    for first in range(0, draws, BATCH):
        keys = sample_keys(seed, 0, np.arange(first, min(first + BATCH, draws)), 0, Stream.TARGET_QUERIES)
        rows = None if importance is None else np.broadcast_to(importance, (len(keys), len(importance)))
        draw = draw_queries(sampling, domain, keys, 0, rows)
        values = quantity[draw.index].astype(np.float64)
        means.append((values if draw.weight is None else values * draw.weight).mean(axis=1))
    return np.concatenate(means)


def relative_variance(
    domain: Domain,
    sampling: QuerySampling,
    quantity: NDArray[np.floating],
    draws: int,
    seed: int,
    importance: NDArray[np.floating] | None = None,
) -> float:
    """The mean squared error of a mean over the points drawn, relative to a uniform draw of as many.

    Below 1, each point tells more than one drawn at random; 0.5 saves half of them. The error is from the mean over all
    points, so that a bias would show. That of the uniform draw is not simulated but known: with s² the variance
    over the points, s² (1 - Q / N) / Q · N / (N - 1) (Cochran, "Sampling Techniques", 1977, eq. 2.12).

    Args:
        domain, sampling: what to draw from, and how.
        quantity: `(N,)`, the number per point whose mean is wanted.
        draws: how many draws the error is averaged over: its own standard error is about sqrt(2 / draws) of it.
        seed: of the draws.
        importance: `(K,)` of the tiles, for mode `importance`.

    Raises:
        UpsDataError: where the quantity is constant or every point is drawn, and there is no variance to compare with;
            or as `draw_queries`.
    """
    values = np.asarray(quantity, np.float64)
    total, queries = domain.num_points, sampling.num_drawn(domain, 0)
    if total > queries:
        uniform = float(values.var()) * (1 - queries / total) / queries * total / (total - 1)
    if total == queries or uniform == 0.0:
        raise UpsDataError("a uniform draw has no variance here: every point is drawn, or the quantity is constant")
    errors = estimated_means(domain, sampling, values, draws, seed, importance) - values.mean()
    return float(np.square(errors).mean()) / uniform
