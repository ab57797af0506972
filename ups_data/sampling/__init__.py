"""Which points are drawn: a pure function of (seed, epoch, trajectory, step, stream).

This room knows numpy arrays only. A draw is made for a whole batch at once:

    domain = Domain(num_points=128 * 128, grid_shape=(128, 128))
    keys = sample_keys(seed, epoch, trajectory, step, Stream.TARGET_QUERIES)     # (B,)
    draw = draw_queries(QuerySampling(ratio=0.1, mode="stratified"), domain, keys, epoch)
    draw.index                                                                   # (B, Q)
"""

from ups_data.points.domain import Domain
from ups_data.points.tiles import Tiles, tiles_in
from ups_data.sampling.config import QuerySampling, as_sampling
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode, Request
from ups_data.sampling.modes.lattice import lattice_shape
from ups_data.sampling.modes.off_grid import coordinates, interpolation
from ups_data.sampling.modes.uniform import distinct_integers
from ups_data.sampling.queries import draw_queries
from ups_data.sampling.random import Stream, child_keys, random_bits, random_integers, sample_keys
from ups_data.sampling.registry import register_mode
from ups_data.sampling.sharing import share_keys

__all__ = [
    "Domain",
    "Draw",
    "Mode",
    "QuerySampling",
    "Request",
    "Stream",
    "Tiles",
    "as_sampling",
    "child_keys",
    "coordinates",
    "distinct_integers",
    "draw_queries",
    "interpolation",
    "lattice_shape",
    "random_bits",
    "random_integers",
    "register_mode",
    "sample_keys",
    "share_keys",
    "tiles_in",
]
