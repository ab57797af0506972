"""Domains, modes and keys that the tests of this room share."""

from pathlib import Path

import numpy as np

from ups_data.points.blocks import Blocks
from ups_data.points.domain import Domain
from ups_data.points.tiles import Tiles, tiles_in
from ups_data.sampling import QuerySampling, Stream, sample_keys

REAL_FRAME_FILE = Path(__file__).parents[2].parent / "shared" / "data" / "pdebench" / "2D_diff-react_NA_NA.h5"

# A p-value below this fails a test. Seeds are fixed, so a test that passes always passes.
SMALLEST_P = 1e-3


def grid(*shape: int) -> Domain:
    return Domain(int(np.prod(shape)), shape)


def cloud(num_points: int, d: int) -> Domain:
    """A point set that is dense in one corner."""
    return Domain(num_points, coords=np.random.default_rng(num_points + d).random((num_points, d)) ** 3)


def dealt(domain: Domain, blocks: int, seed: int = 0) -> Domain:
    """The domain with its points dealt into blocks: every group of `blocks` neighbours along the curve in random order.

    The blocks that get one point more are consecutive, from a random one on.
    """
    rng = np.random.default_rng(seed)
    held: list[list[int]] = [[] for _ in range(blocks)]
    for start in range(0, domain.num_points, blocks):
        group = domain.curve[start : start + blocks]
        full = len(group) == blocks
        to = rng.permutation(blocks) if full else (rng.integers(blocks) + np.arange(len(group))) % blocks
        for point, block in zip(group, to, strict=False):
            held[block].append(int(point))
    slots = max(len(points) for points in held)
    index = np.array([points + [-1] * (slots - len(points)) for points in held], np.int32).ravel()
    stored = Blocks(index, np.array([len(points) for points in held], np.int64))
    return Domain(domain.num_points, domain.grid_shape, domain.coords, stored)


DOMAINS = {
    "1d": grid(120),
    "1d odd": grid(97),
    "2d": grid(16, 16),
    "2d odd": grid(17, 10),
    "2d thin": grid(1, 60),
    "3d": grid(8, 8, 4),
    "3d odd": grid(5, 7, 3),
    "cloud 2d": cloud(150, 2),
    "cloud 3d": cloud(101, 3),
    "tiny": grid(3),
}


def tiles_of(domain: Domain, tile_points: int) -> Tiles:
    """As many tiles as have about so many points each."""
    return tiles_in(domain, -(-domain.num_points // tile_points))


# (domain, mode, Q): Q divides N or not, few points, half of them, all but one.
CASES = [
    (name, mode, count)
    for name, domain in DOMAINS.items()
    for mode in ("uniform", "stratified", "lattice")
    for count in sorted({1, domain.num_points // 8, domain.num_points // 2, domain.num_points - 1} - {0})
    if not (mode == "lattice" and domain.grid_shape is None)
]


def keys(number: int, seed: int = 0, stream: Stream = Stream.TARGET_QUERIES) -> np.ndarray:
    """Keys of `number` samples: 50 frames of each trajectory."""
    sample = np.arange(number)
    return sample_keys(seed, 0, sample // 50, sample % 50, stream)


def sampling(mode: str, count: int) -> QuerySampling:
    return QuerySampling(num_queries=count, mode=mode)
