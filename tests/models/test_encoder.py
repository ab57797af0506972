import pytest
import torch
from torch import Tensor

from ups_data import UpsDataError, make_grid_coords
from ups_data.models.encoder import GridEncoder
from ups_data.models.reference import token_lattice

SHAPES = [(64,), (33,), (32, 32), (41, 40), (7, 50), (8, 8, 8), (9, 5, 12)]


def encoder(d: int, channels: int = 2) -> GridEncoder:
    torch.manual_seed(0)
    return GridEncoder({"u": channels}, (4,) * d, (8,) * d, 24)


@pytest.mark.parametrize("shape", SHAPES)
def test_tokens_are_as_many_whatever_the_grid(shape: tuple[int, ...]) -> None:
    latent = encoder(len(shape))(
        {"u": torch.randn(3, *_flat(shape, 2))}, make_grid_coords(shape), {"grid_shape": shape}
    )
    assert latent.shape == (3, 4 ** len(shape), 24)
    assert latent.isfinite().all()


def _flat(shape: tuple[int, ...], channels: int) -> tuple[int, int]:
    return int(torch.tensor(shape).prod()), channels


def smooth(coords: Tensor) -> Tensor:
    """Two smooth channels that tell x from y."""
    return torch.stack([torch.sin(3 * coords[..., 0]), torch.cos(2 * coords[..., -1] + coords[..., 0])], dim=-1)


@pytest.mark.parametrize("shape", [(32,), (32, 32), (32, 32, 32)])
def test_a_coarse_offset_lattice_encodes_to_nearly_the_same_latent(shape: tuple[int, ...]) -> None:
    """Samples with their own offsets; a transposed axis or a neglected offset would be far off."""
    dense = make_grid_coords(shape)
    lattice = dense.unflatten(1, shape)
    slices = [tuple(slice(o, None, 2) for _ in shape) for o in (0, 1)]
    coords = torch.stack([lattice[0][s].flatten(0, -2) for s in slices])
    coarse = tuple(n // 2 for n in shape)
    enc = encoder(len(shape))
    with torch.no_grad():
        fine_latent = enc({"u": smooth(dense).expand(2, -1, -1)}, dense, {"grid_shape": shape})
        coarse_latent = enc({"u": smooth(coords)}, coords, {"grid_shape": coarse})
        other = enc({"u": smooth(coords.flip(0))}, coords, {"grid_shape": coarse})
    error, misplaced = ((x - fine_latent).square().mean() / fine_latent.var() for x in (coarse_latent, other))
    assert error < 5e-5
    assert misplaced > 50 * error


def test_patches_follow_the_axes() -> None:
    """A change in one corner reaches only the token of that corner: rows are y, columns x."""
    enc = encoder(2)
    u = torch.zeros(1, 32 * 32, 2)
    v = u.unflatten(1, (32, 32)).clone()
    v[:, :8, 24:] = 1.0
    meta = {"grid_shape": (32, 32)}
    coords = make_grid_coords((32, 32))
    changed = (enc({"u": v.flatten(1, 2)}, coords, meta) - enc({"u": u}, coords, meta)).abs().sum(-1)[0]
    assert changed.nonzero().flatten().tolist() == [3]


def test_input_steps_become_channels() -> None:
    enc = encoder(2, channels=4)
    u = torch.randn(3, 2, 32 * 32, 2)
    coords, meta = make_grid_coords((32, 32)), {"grid_shape": (32, 32)}
    expected = enc({"u": torch.cat([u[:, 0], u[:, 1]], dim=-1)}, coords, meta)
    assert torch.equal(enc({"u": u}, coords, meta), expected)


def test_what_does_not_fit_is_an_error() -> None:
    enc, coords = encoder(2), make_grid_coords((8, 8))
    with pytest.raises(UpsDataError, match="needs field 'u', got v"):
        enc({"v": torch.zeros(1, 64, 2)}, coords, {"grid_shape": (8, 8)})
    with pytest.raises(UpsDataError, match="60 points"):
        enc({"u": torch.zeros(1, 60, 2)}, coords, {"grid_shape": (8, 8)})


def test_token_lattice_covers_the_grid() -> None:
    assert token_lattice((128, 128)) == ((16, 16), (8, 8))
    assert token_lattice((1024,)) == ((64,), (16,))
    assert token_lattice((16, 16)) == ((8, 8), (2, 2))
    assert token_lattice((101, 7), [10, 3]) == ((10, 3), (11, 3))
    with pytest.raises(UpsDataError, match=r"model\.tokens=9 does not fit"):
        token_lattice((8, 8), 9)


@pytest.mark.parametrize(
    ("tokens", "highest"), [((4, 16), [8, 2]), ((5, 3), [1, 2]), ((1,), [0.5]), ((2, 4, 8), [4, 2, 1])]
)
def test_positions_hold_no_detail_that_tokens_cannot_resolve(tokens: tuple[int, ...], highest: list[float]) -> None:
    """The band limit: at most half as many cycles as there are tokens along the axis (components x, y(, z), so the last
    array axis first), in octaves from half a cycle."""
    enc = GridEncoder({"u": 1}, tokens, (2,) * len(tokens), 16)
    cycles = enc.fourier.frequencies / (2 * torch.pi)
    for axis, limit in enumerate(highest):
        own = cycles[axis][cycles[axis] > 0]
        expected = [0.5 * 2**k for k in range(8) if 0.5 * 2**k <= limit]
        torch.testing.assert_close(own.sort().values, torch.tensor(expected))
