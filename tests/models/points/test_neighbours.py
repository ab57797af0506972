"""Neighbours against brute force, with padding, within a radius, in parts, and as edges."""

import numpy as np
import pytest
import torch

from ups_data import UpsDataError
from ups_data.points import neighbours
from ups_data.points.neighbours import edges, gather, nearest

POINTS, CENTRES = torch.rand(3, 40, 2), torch.rand(3, 7, 2)
MASK = torch.arange(40) < torch.tensor([40, 25, 3])[:, None]


def brute(b, s):
    """Numbers of the real points of sample b, nearest to centre s first, and how far they are."""
    real = np.flatnonzero(MASK[b].numpy())
    apart = np.linalg.norm(POINTS[b].numpy()[real] - CENTRES[b, s].numpy(), axis=-1)
    order = np.argsort(apart)
    return real[order], apart[order]


@pytest.mark.parametrize("at_once", [1 << 24, 100])
def test_nearest_points_of_padded_rows(monkeypatch, at_once):
    monkeypatch.setattr(neighbours, "DISTANCES", at_once)
    around = nearest(POINTS, CENTRES, 5, mask=MASK)
    for b, s in np.ndindex(3, 7):
        numbers, apart = brute(b, s)
        count = min(5, len(numbers))
        assert around.mask[b, s].tolist() == [True] * count + [False] * (5 - count)
        assert around.index[b, s, :count].tolist() == numbers[:count].tolist()
        assert set(around.index[b, s, count:].tolist()) <= {int(numbers[0])}
        np.testing.assert_allclose(around.distance[b, s, :count], apart[:count], rtol=1e-5)


def test_within_a_radius_but_never_none():
    around = nearest(POINTS, CENTRES, 40, radius=0.2, mask=MASK)
    for b, s in np.ndindex(3, 7):
        numbers, apart = brute(b, s)
        within = max(1, int((apart <= 0.2).sum()))
        assert sorted(around.index[b, s][around.mask[b, s]].tolist()) == sorted(numbers[:within].tolist())


def test_edges_are_those_of_one_graph_of_all_samples():
    around = nearest(POINTS, CENTRES, 4, mask=MASK)
    senders, receivers = edges(around, 40)
    assert len(senders) == int(around.mask.sum()) == 7 * (4 + 4 + 3)
    apart = (POINTS.flatten(0, 1)[senders] - CENTRES.flatten(0, 1)[receivers]).norm(dim=-1)
    torch.testing.assert_close(apart, around.distance[around.mask])
    assert MASK.flatten()[senders].all()


def test_values_are_gathered_by_numbers():
    index = torch.tensor([[[3, 0]], [[1, 1]], [[2, 5]]])
    values = gather(POINTS, index)
    assert values.shape == (3, 1, 2, 2)
    torch.testing.assert_close(values[2, 0, 1], POINTS[2, 5])


def test_one_line_for_what_cannot_be():
    with pytest.raises(UpsDataError, match="0 neighbours"):
        nearest(POINTS, CENTRES, 0)
    with pytest.raises(UpsDataError, match="centres of 3"):
        nearest(POINTS, torch.rand(3, 7, 3), 2)
