"""The importance of tiles, computed from frames."""

import tracemalloc

import numpy as np
import pytest

from tests.sampling.cases import cloud, dealt, grid, tiles_of
from ups_data.errors import UpsDataError
from ups_data.points.activity import scaled, squared_gradient, tile_importance
from ups_data.points.domain import Domain

METRICS = ["gradient", "variance"]


def by_definition(metric: str, frame: np.ndarray, domain: Domain, tile_points: int) -> np.ndarray:
    """Tile by tile and channel by channel, on a grid."""
    tiles = tiles_of(domain, tile_points)
    total = np.zeros(len(tiles))
    for channel in np.moveaxis(frame.reshape(*domain.grid_shape, -1), -1, 0):
        u = channel / channel.std()
        if metric == "gradient":
            pad = [(1, 1)] * u.ndim
            padded = (
                np.pad(u, pad, mode="wrap") if domain.periodic[0] else np.pad(u, pad, "reflect", reflect_type="odd")
            )
            slopes = [(np.roll(padded, -1, a) - np.roll(padded, 1, a)) / 2 for a in range(u.ndim)]
            u = sum(s**2 for s in slopes)[(slice(1, -1),) * u.ndim]
        of_tile = [u.ravel()[tiles.of_point == k] for k in range(len(tiles))]
        total += [part.mean() if metric == "gradient" else part.var() for part in of_tile]
    return total / total.max()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("shape", "channels"), [((40,), 1), ((17, 10), 3), ((8, 8), 2), ((5, 7, 6), 1)])
def test_against_the_definition(metric: str, periodic: bool, shape: tuple[int, ...], channels: int) -> None:
    domain = Domain(int(np.prod(shape)), shape, periodic=(periodic,) * len(shape))
    frame = np.random.default_rng(0).standard_normal((*shape, channels)).cumsum(axis=0)
    frame[..., 0] *= 1e3  # every channel counts alike
    for given in (frame, frame.reshape(-1, channels), frame.astype(np.float32)):
        found = tile_importance(metric, given, domain, tiles_of(domain, 8))
        assert found.dtype == np.float16
        assert found.max() == 1
        assert found == pytest.approx(by_definition(metric, frame, domain, 8), rel=2e-3, abs=1e-5)


def test_gradient_sees_a_shock_and_only_it() -> None:
    domain = Domain(256, (256,), periodic=(True,))
    frame = np.where(np.arange(256) < 100, 1.0, -1.0)[:, None]
    found = tile_importance("gradient", frame, domain, tiles_of(domain, 16))
    assert np.flatnonzero(found).tolist() == [0, 6, 15]  # at 99|100, and around the ends
    closed = Domain(256, (256,))
    assert np.flatnonzero(tile_importance("gradient", frame, closed, tiles_of(closed, 16))).tolist() == [6]


def test_gradient_of_a_plane_is_the_same_everywhere() -> None:
    y, x = np.indices((12, 9))
    assert squared_gradient(2.0 * x - 3.0 * y, (False, False)) == pytest.approx(np.full((12, 9), 13.0))
    assert squared_gradient(np.ones((1, 4)), (False, False)).tolist() == [[0] * 4]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_gradient_on_points_is_the_slope(d: int) -> None:
    """Two planes, one twice as steep: four times the importance, wherever the cloud is dense or not."""
    domain = cloud(4000, d)
    x = domain.coords
    normal = np.arange(1, d + 1) / np.linalg.norm(np.arange(1, d + 1))
    along = x @ normal
    kink = np.median(along)
    frame = np.where(along < kink, along, 2 * along - kink)[:, None]
    tiles = tiles_of(domain, 20)
    found = tile_importance("gradient", frame, domain, tiles).astype(np.float64)
    below = np.maximum.reduceat(along[domain.curve], tiles.bounds[:-1]) < kink
    above = np.minimum.reduceat(along[domain.curve], tiles.bounds[:-1]) > kink
    assert found[above] == pytest.approx(np.ones(above.sum()), abs=0.05)
    assert found[below] == pytest.approx(np.full(below.sum(), 0.25), abs=0.02)


def test_gradient_along_a_surface_ignores_the_direction_across_it() -> None:
    """A tilted sheet in space, rough by less than a thousandth of a tile. Noise in the values, 0.3 % of what they
    change over a tile, would be the steepest slope of all if it were fitted across the sheet."""
    rng = np.random.default_rng(0)
    flat = rng.random((2000, 2))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    roughness = 2e-5 * rng.standard_normal(2000)
    domain = Domain(2000, coords=np.column_stack([flat, roughness]) @ turn)
    frame = (flat @ [3.0, -1.0] + 3e-4 * rng.standard_normal(2000))[:, None]
    found = tile_importance("gradient", frame, domain, tiles_of(domain, 16)).astype(np.float64)
    assert found == pytest.approx(np.ones(len(found)), abs=0.05)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("domain", [grid(16, 16), cloud(256, 3)], ids=["grid", "cloud"])
class TestHardValues:
    def test_any_scale_fits_float16(self, metric: str, domain: Domain) -> None:
        frame = np.random.default_rng(0).standard_normal((256, 2))
        tiles = tiles_of(domain, 16)
        plain = tile_importance(metric, frame, domain, tiles)
        for scale in (1e-300, 1e-30, 1e30, 1e300):
            assert np.array_equal(tile_importance(metric, frame * scale, domain, tiles), plain)
        single = (frame * 1e37).astype(np.float32)
        assert tile_importance(metric, single, domain, tiles) == pytest.approx(plain, rel=2e-3)
        offset = tile_importance(metric, frame + 1e8, domain, tiles)
        assert offset == pytest.approx(plain, rel=2e-3)

    def test_a_spike_does_not_hide_the_rest_altogether(self, metric: str, domain: Domain) -> None:
        frame = np.random.default_rng(0).standard_normal((256, 1))
        frame[17] = 1e3
        found = tile_importance(metric, frame, domain, tiles_of(domain, 16))
        assert found.max() == 1
        assert (found > 0).all()

    def test_nothing_happens(self, metric: str, domain: Domain) -> None:
        tiles = tiles_of(domain, 16)
        assert (tile_importance(metric, np.full((256, 2), 3.7), domain, tiles) == 0).all()
        frame = np.random.default_rng(0).standard_normal((256, 1))
        with_constant = np.column_stack([np.full(256, 5.0), frame])
        assert np.array_equal(
            tile_importance(metric, with_constant, domain, tiles), tile_importance(metric, frame, domain, tiles)
        )

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("channel", [0, 1])
    @pytest.mark.parametrize("std", [None, [1.0, 2.0], [0.0, 2.0], [1.0, 0.0]], ids=str)
    def test_values_that_are_none(self, metric: str, domain: Domain, bad: float, channel: int, std) -> None:
        """In one channel only, even one that is left out otherwise."""
        frame = np.random.default_rng(0).standard_normal((256, 2))
        frame[3, channel] = bad
        assert np.isnan(tile_importance(metric, frame, domain, tiles_of(domain, 16), std)).all()

    def test_std_of_the_dataset(self, metric: str, domain: Domain) -> None:
        frame = np.random.default_rng(0).standard_normal((256, 2))
        tiles = tiles_of(domain, 16)
        found = tile_importance(metric, frame, domain, tiles, std=[1e6 * frame[:, 0].std(), frame[:, 1].std()])
        assert found == pytest.approx(tile_importance(metric, frame[:, 1:], domain, tiles), abs=1e-3)
        assert np.array_equal(
            tile_importance(metric, frame, domain, tiles, std=[0.0, 2.0]),
            tile_importance(metric, frame[:, 1:], domain, tiles),
        )


def test_a_frame_with_an_activity_that_is_not_finite_prefers_no_tile() -> None:
    found = scaled(np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, 2.0], [1.0, 4.0, 2.0]]))
    assert np.isnan(found[:2]).all()
    assert found[2].tolist() == [0.25, 1.0, 0.5]


@pytest.mark.parametrize("metric", METRICS)
def test_work_space_is_a_few_channels(metric: str) -> None:
    """8 channels of float32 are 4 times a channel in float64; the work takes less than twice the frame."""
    domain = grid(256, 256)
    tiles = tiles_of(domain, 64)
    frame = np.random.default_rng(0).standard_normal((256, 256, 8)).astype(np.float32)
    tile_importance(metric, frame, domain, tiles)  # fills the tables that are kept
    tracemalloc.start()
    tile_importance(metric, frame, domain, tiles)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * frame.nbytes


def test_errors() -> None:
    with pytest.raises(UpsDataError, match=r"frame has shape \(15, 2\): give \(16, C\)"):
        tile_importance("gradient", np.ones((15, 2)), grid(4, 4), tiles_of(grid(4, 4), 4))
    with pytest.raises(UpsDataError, match=r"frame has shape \(16,\): give \(16, C\)"):
        tile_importance("gradient", np.ones(16), grid(4, 4), tiles_of(grid(4, 4), 4))


def test_blocks_of_a_domain_do_not_matter() -> None:
    frame = np.random.default_rng(0).standard_normal((16, 16, 1))
    found = [tile_importance("gradient", frame, d, tiles_of(d, 16)) for d in (grid(16, 16), dealt(grid(16, 16), 4))]
    assert np.array_equal(*found)
