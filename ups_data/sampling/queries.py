"""`draw_queries`: the points of a whole batch."""

import math

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.hashing import absorb
from ups_data.points.blocks import BlockSizes
from ups_data.points.domain import Domain
from ups_data.points.part import Part
from ups_data.sampling.config import QuerySampling
from ups_data.sampling.draw import Draw
from ups_data.sampling.mode import Mode, Request
from ups_data.sampling.modes.cycle import cycle_keys, place_in_cycle
from ups_data.sampling.modes.full import draw_full
from ups_data.sampling.modes.masked import in_whole, only_counted
from ups_data.sampling.modes.off_grid import jitter
from ups_data.sampling.order import in_random_order
from ups_data.sampling.sharing import draw_once

# Once a large array has been freed, glibc stops returning arrays of that size to the system at every free (its mmap
# threshold adapts). Without this, a process that never frees one takes a page fault per 4 KB of every temporary:
# measured, 55 µs per sample instead of 11 for a uniform draw of 1,638 out of 16,384 in batches of 16.
del [np.empty(1 << 23, np.uint8)][0]


def draw_queries(
    sampling: QuerySampling,
    domain: Domain,
    keys: NDArray[np.uint64],
    epoch: float,
    importance: NDArray[np.floating] | None = None,
) -> Draw:
    """Draw the points of a batch.

    Args:
        sampling: how many points, and how.
        domain: the points to choose from, the same for the whole batch. Of a `Part` only the points that count are
            drawn, and numbers of queries and weights relate to them; they come with their numbers in the whole domain.
            Modes that need a grid draw from the whole grid, and points that do not count have weight 0 there.
        keys: `(B,)` uint64 from `sample_keys`, one per sample. A sample's points depend on its own key only. Where the
            sampling is `shared`, they come from `share_keys`; if it is a `cycle`, they are those of epoch 0.
        epoch: for the schedules of ratio and mode (the keys hold it already, but for a `cycle`); fractional if
            `schedule_unit` is `step`.
        importance: `(B, K)` importance per point of each tile, any scale, in the order of `tiles_in(domain, K)`; for
            `importance` and mixtures with it. None for the metric `error` means that no error is known yet: every tile
            is as important as any other.

    Returns:
        `Draw` with `sampling.num_drawn(domain, epoch)` points per sample.

    Raises:
        UpsDataError: more queries than points; `lattice` on a point set; `stratified` on points without coordinates;
            `blocks` on points that are not stored in blocks; `importance` without any, or with another number of rows;
            off-grid queries of a point set.
    """
    if not sampling.shared:
        return _drawn(sampling, domain, keys, epoch, importance)
    return draw_once(
        lambda rows: _drawn(sampling, domain, keys[rows], epoch, None if importance is None else importance[rows]), keys
    )


def _drawn(
    sampling: QuerySampling,
    domain: Domain,
    keys: NDArray[np.uint64],
    epoch: float,
    importance: NDArray[np.floating] | None,
) -> Draw:
    """A draw for every key, off the grid and in the order that is asked for."""
    draw = _on_points(sampling, domain, keys, epoch, importance)
    if sampling.cycle:
        keys = absorb(keys, math.floor(epoch))
    if sampling.off_grid:
        draw = jitter(draw, _whole(domain), keys)
    if sampling.order == "stored":
        return draw
    return in_random_order(draw, domain, keys, along_curve=sampling.record_at(epoch).along_curve)


def _on_points(
    sampling: QuerySampling,
    domain: Domain,
    keys: NDArray[np.uint64],
    epoch: float,
    importance: NDArray[np.floating] | None,
) -> Draw:
    mode = sampling.record_at(epoch)
    if isinstance(domain, Part):
        return _on_part(sampling, mode, domain, keys, epoch, importance)
    count = sampling.count(domain.num_points, epoch)
    if count == domain.num_points and not (mode.reads_part_of_blocks and domain.blocks is not None):
        return draw_full(domain, keys, count)
    return _by_mode(sampling, mode, domain, keys, epoch, count, importance)


def _on_part(
    sampling: QuerySampling,
    mode: Mode,
    part: Part,
    keys: NDArray[np.uint64],
    epoch: float,
    importance: NDArray[np.floating] | None,
) -> Draw:
    """Of the points that count."""
    assert part.whole is not None
    if mode.needs_grid and sampling.count(part.all_points, epoch) < part.all_points:
        count = sampling.count(part.all_points, epoch)
        return only_counted(_by_mode(sampling, mode, part.whole, keys, epoch, count, importance), part)
    count = sampling.count(part.num_points, epoch)
    # Of blocks whose points are not known, points are known by their slots only.
    if count == part.num_points and not (mode.reads_part_of_blocks and isinstance(part.whole.blocks, BlockSizes)):
        return in_whole(draw_full(part, keys, count), part)
    return in_whole(_by_mode(sampling, mode, part, keys, epoch, count, importance), part)


def _whole(domain: Domain) -> Domain:
    return domain.whole if isinstance(domain, Part) and domain.whole is not None else domain


def _by_mode(
    sampling: QuerySampling,
    mode: Mode,
    domain: Domain,
    keys: NDArray[np.uint64],
    epoch: float,
    count: int,
    importance: NDArray[np.floating] | None,
) -> Draw:
    """So many of the domain's points, as the mode draws them."""
    mode.check(domain)
    if sampling.cycle and mode.window is not None:
        cycle, window = place_in_cycle(math.floor(epoch) - sampling.start_epoch, count, domain.num_points)
        return mode.window(Request(domain, cycle_keys(keys, cycle), count), window)
    if not mode.needs_importance:
        return mode.draw(Request(domain, keys, count))
    importance = _known_importance(sampling, mode, keys, importance)
    return mode.draw(Request(domain, keys, count, importance, sampling.importance_floor))


def _known_importance(
    sampling: QuerySampling, mode: Mode, keys: NDArray[np.uint64], importance: NDArray[np.floating] | None
) -> NDArray[np.floating]:
    if importance is not None:
        return importance
    if sampling.importance_metric == "error":
        return np.ones((len(keys), 1))
    raise UpsDataError(
        f"mode {mode.name!r} needs the tiles' importance {sampling.importance_metric!r}, and this dataset has none: "
        "add it with `ups-data importance DIR`, or use importance_metric='error'"
    )
