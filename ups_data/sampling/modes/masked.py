"""Draws where some points do not count: which points of the whole domain were drawn, and with which weights."""

from dataclasses import replace

import numpy as np

from ups_data.points.blocks import Blocks
from ups_data.points.part import Part
from ups_data.sampling.draw import Draw


def in_whole(draw: Draw, part: Part) -> Draw:
    """A draw of the points that count, with the numbers and the slots that they have in the whole domain.

    Inclusion probabilities, and so the weights Q / (M π), are those that the mode gave its M points.
    """
    if draw.blocks is None:
        index = draw.points
        if index.strides[0] == 0:  # one row for all samples
            return replace(draw, index=np.tile(part.candidates[index[0]], (len(index), 1)))
        return replace(draw, index=part.candidates[index])
    assert draw.slots is not None
    assert part.whole is not None
    assert part.blocks is not None
    size = part.blocks.block_points
    number, place = np.divmod(draw.slots, size)
    block = np.take_along_axis(draw.blocks, number, axis=1)
    place = part.places[block, place]
    stored = part.whole.blocks
    numbers = stored.by_block[block, place].astype(np.int64) if isinstance(stored, Blocks) else None
    return replace(draw, index=numbers, slots=number * size + place, whole_blocks=False)


def only_counted(draw: Draw, part: Part) -> Draw:
    """A draw of the whole domain's points (a lattice's) in which those that do not count have weight 0.

    The others' weights grow by N / M: a weighted mean over the Q points is an unbiased estimate of the mean over the M
    points that count.
    """
    counted = part.counted[draw.points]
    weight = np.where(counted, part.all_points / part.num_points, 0.0)
    if draw.weight is not None:
        weight *= draw.weight
    return replace(draw, weight=weight.astype(np.float32))
