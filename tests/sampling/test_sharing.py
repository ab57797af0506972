"""`shared=True`: one draw for all samples of a batch."""

import numpy as np
import pytest

from tests.sampling.cases import dealt, grid, keys
from ups_data.sampling import QuerySampling, draw_queries, share_keys

SHARED = {
    "uniform": {"num_queries": 20},
    "stratified": {"num_queries": 20, "mode": "stratified", "order": "random"},
    "lattice": {"num_queries": 16, "mode": "lattice"},
    "blocks": {"num_queries": 20, "mode": "blocks"},
    "importance": {"num_queries": 20, "mode": "importance"},
    "off the grid": {"num_queries": 20, "mode": "stratified", "off_grid": True},
    "full": {},
    "full in random order": {"order": "random"},
}


def test_keys_of_a_block_of_batches() -> None:
    """Two batches of three and two samples, with two steps each."""
    own = np.arange(10, dtype=np.uint64)
    assert share_keys(own, [3, 2]).tolist() == [0, 1] * 3 + [6, 7] * 2
    assert share_keys(own, [5]).tolist() == [0, 1] * 5
    assert share_keys(own[:5], [1] * 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("case", SHARED)
def test_rows_of_one_key_are_the_draw_of_the_first_of_them(case: str) -> None:
    """Importance is that of the first row too; rows of other keys are drawn as ever."""
    domain, own = dealt(grid(8, 8), 4), keys(6)[::-1]
    importance = np.random.default_rng(0).random((6, 8))
    batch = share_keys(own, [4, 2])
    draw = draw_queries(QuerySampling(**SHARED[case], shared=True), domain, batch, 0, importance)
    for first, rows in ((0, range(4)), (4, (4, 5))):
        alone = draw_queries(
            QuerySampling(**SHARED[case]), domain, own[first : first + 1], 0, importance[first : first + 1]
        )
        for name in ("index", "weight", "blocks", "slots", "offset"):
            expected, found = getattr(alone, name), getattr(draw, name)
            assert (expected is None) == (found is None)
            for row in rows if expected is not None else ():
                assert np.array_equal(found[row], expected[0]), name
    assert draw.grid_shape == alone.grid_shape
    assert draw.whole_blocks == alone.whole_blocks


def test_one_key_is_drawn_once(monkeypatch) -> None:
    from ups_data.sampling import queries

    asked = []
    inner = queries._on_points
    monkeypatch.setattr(
        queries, "_on_points", lambda s, d, keys, *rest: asked.append(len(keys)) or inner(s, d, keys, *rest)
    )
    draw_queries(QuerySampling(num_queries=5, shared=True), grid(8, 8), share_keys(keys(6), [4, 2]), 0)
    draw_queries(QuerySampling(num_queries=5), grid(8, 8), share_keys(keys(6), [4, 2]), 0)
    assert asked == [2, 6]
