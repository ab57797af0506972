import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ups_data.training.bundle
import ups_data.training.losses
from ups_data import UpsDataError, make_grid_coords
from ups_data.models.decoder import AnyPointDecoder
from ups_data.models.encoder import GridEncoder
from ups_data.training.losses import (
    inverse_decoding_loss,
    inverse_encoding_loss,
    latent_step_loss,
    prediction_loss,
    rollout_loss,
    spectral_loss,
    weighted_mse,
)

B, Q, M, D = 3, 50, 16, 32


@pytest.fixture
def decoder() -> AnyPointDecoder:
    torch.manual_seed(0)
    return AnyPointDecoder({"u": 2, "p": 1}, (4, 4), (4, 4), D)


@pytest.fixture
def encoder() -> GridEncoder:
    torch.manual_seed(1)
    return GridEncoder({"u": 2, "p": 1}, (4, 4), (4, 4), D)


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(shape, generator=generator) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("points", [1, 7, 1000, 1638, 4096])
@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_weights_of_one_are_bit_identical_to_mse(points: int, factor: float) -> None:
    """Value and gradients, for any number of points and any factor on the loss."""
    p, t = pair(B, points, 2)
    found, expected = p.clone().requires_grad_(), p.clone().requires_grad_()
    loss = factor * weighted_mse(found, t, torch.ones(()).expand(B, points))
    dense = factor * F.mse_loss(expected, t)
    loss.backward()
    dense.backward()
    assert loss.item() == dense.item()
    assert torch.equal(found.grad, expected.grad)  # type: ignore[arg-type]
    assert weighted_mse(p, t).item() == F.mse_loss(p, t).item()


def test_weights_are_a_plain_mean_never_renormalised() -> None:
    p, t = pair(B, Q, 2)
    weights = torch.rand(B, Q) * 4
    expected = sum(
        weights[b, q] * (p[b, q, c] - t[b, q, c]) ** 2 for b in range(B) for q in range(Q) for c in range(2)
    ) / (B * Q * 2)
    torch.testing.assert_close(weighted_mse(p, t, weights), expected)
    torch.testing.assert_close(weighted_mse(p, t, 2 * weights), 2 * expected)
    with_none = weights.clone()
    with_none[:, ::2] = 0
    kept = (with_none[..., None] * (p - t) ** 2).mean()
    torch.testing.assert_close(weighted_mse(p, t, with_none), kept)


def test_fields_count_alike_however_many_channels() -> None:
    (pu, tu), (pp, tp) = pair(B, Q, 2), pair(B, Q, 1)
    weights = torch.rand(B, Q)
    found = prediction_loss({"u": pu, "p": 3 * pp, "more": tp}, {"u": tu, "p": tp}, weights)
    expected = ((weights[..., None] * (pu - tu) ** 2).mean() + (weights[..., None] * (3 * pp - tp) ** 2).mean()) / 2
    torch.testing.assert_close(found, expected)
    with pytest.raises(UpsDataError, match="field 'p' has a target but is not predicted; predicted: u"):
        prediction_loss({"u": pu}, {"p": tp})


def test_rollout_weighs_every_step() -> None:
    p, t = pair(B, 4, Q, 2)
    weights = torch.rand(B, 4, Q)
    expected = torch.stack([(weights[:, k, :, None] * (p[:, k] - t[:, k]) ** 2).mean() for k in range(4)]).mean()
    torch.testing.assert_close(rollout_loss({"u": p}, {"u": t}, weights), expected)


def test_latent_step() -> None:
    p, t = pair(B, M, D)
    assert latent_step_loss(p, t) == F.mse_loss(p, t)
    with pytest.raises(UpsDataError, match="differ in shape"):
        latent_step_loss(p, t[:1])


def test_inverse_encoding_decodes_at_the_positions(decoder: AnyPointDecoder) -> None:
    latent, positions, weights = torch.randn(B, M, D), torch.rand(B, Q, 2), torch.rand(B, Q)
    fields = {"u": torch.randn(B, Q, 2), "p": torch.randn(B, Q, 1)}
    decoded = decoder(positions, latent)
    plain = (F.mse_loss(decoded["u"], fields["u"]) + F.mse_loss(decoded["p"], fields["p"])) / 2
    assert inverse_encoding_loss(fields, latent, decoder, positions).item() == plain.item()
    torch.testing.assert_close(inverse_encoding_loss(fields, latent, decoder, positions, weight=0.3), 0.3 * plain)
    weighted = sum((weights[..., None] * (decoded[n] - fields[n]) ** 2).mean() for n in fields) / 2
    found = inverse_encoding_loss(fields, latent, decoder, positions, query_weights=weights)
    torch.testing.assert_close(found, weighted)
    one_field = inverse_encoding_loss({"u": fields["u"]}, latent, decoder, positions, query_weights=torch.ones(B, Q))
    assert one_field.item() == F.mse_loss(decoded["u"], fields["u"]).item()


def test_inverse_decoding_on_the_full_grid(decoder: AnyPointDecoder, encoder: GridEncoder) -> None:
    latent, coords, meta = torch.randn(B, M, D), make_grid_coords((16, 16)), {"grid_shape": (16, 16)}
    expected = F.mse_loss(encoder(decoder(coords, latent), coords, meta), latent)
    assert inverse_decoding_loss(latent, decoder, encoder, None, coords, meta).item() == expected.item()
    halved = inverse_decoding_loss(latent, decoder, encoder, None, coords, meta, weight=0.5)
    assert halved.item() == 0.5 * expected.item()


def test_inverse_decoding_on_a_lattice_approaches_the_full_grid(decoder: AnyPointDecoder, encoder: GridEncoder) -> None:
    latent, coords = torch.randn(B, M, D), make_grid_coords((16, 16))
    lattice = coords.unflatten(1, (16, 16))[:, 1::2, ::2].flatten(1, 2).repeat(B, 1, 1)
    dense = inverse_decoding_loss(latent, decoder, encoder, None, coords, {"grid_shape": (16, 16)})
    coarse = inverse_decoding_loss(latent, decoder, encoder, lattice, lattice, {"grid_shape": (8, 8)})
    torch.testing.assert_close(coarse, dense, rtol=0.1, atol=0)
    # Decoded values are encoded where they were decoded, whatever the full grid is.
    assert torch.equal(inverse_decoding_loss(latent, decoder, encoder, lattice, coords, {"grid_shape": (8, 8)}), coarse)
    coarse.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.read.parameters())


def test_inverse_decoding_refuses_scattered_points(decoder: AnyPointDecoder, encoder: GridEncoder) -> None:
    latent, points, coords = torch.randn(B, M, D), torch.rand(B, Q, 2), make_grid_coords((16, 16))
    for at in (points, coords):
        with pytest.raises(
            UpsDataError, match='50 query points are not the lattice.*mode="lattice".*full grid'
        ) as error:
            inverse_decoding_loss(latent, decoder, encoder, points, at, {"grid_shape": (16, 16)})
        assert "\n" not in str(error.value)
    with pytest.raises(UpsDataError, match="not the lattice None"):
        inverse_decoding_loss(latent, decoder, encoder, None, coords, {"grid_shape": None})


@pytest.mark.parametrize("shape", [(50,), (10, 5), (5, 2, 5)])
def test_spectral_compares_amplitudes(shape: tuple[int, ...]) -> None:
    p, t = pair(B, Q, 2)
    spectra = [
        torch.fft.rfftn(x.reshape(B, *shape, 2), dim=tuple(range(1, len(shape) + 1)), norm="ortho").abs()
        for x in (p, t)
    ]
    torch.testing.assert_close(spectral_loss({"u": p}, {"u": t}, shape), F.mse_loss(*spectra))


def test_spectral_ignores_shifts_and_needs_a_lattice() -> None:
    u = torch.randn(B, 10, 5, 2)
    shifted = {"u": u.roll(3, dims=1).flatten(1, 2)}
    assert spectral_loss(shifted, {"u": u.flatten(1, 2)}, (10, 5)) < 1e-10
    for shape in (None, (8, 8)):
        with pytest.raises(UpsDataError, match='50 points do not form the grid .*mode="lattice"'):
            spectral_loss(shifted, shifted, shape)


@pytest.mark.parametrize("module", [ups_data.training.losses, ups_data.training.bundle])
def test_losses_hold_no_sampling_code_and_index_no_points(module: object) -> None:
    """No import of sampling, no random numbers, nothing that selects points; tensors are never subscripted."""
    tree = ast.parse(Path(module.__file__).read_text())  # type: ignore[attr-defined]
    selecting = {"gather", "index_select", "take", "take_along_dim", "masked_select", "scatter", "randperm", "rand"}
    selecting |= {"randint", "multinomial", "topk", "argsort", "sort", "where", "nonzero", "randn", "narrow", "split"}
    annotations = {id(n) for d in ast.walk(tree) for a in _annotations(d) for n in ast.walk(a)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert not any(word in name for name in names for word in ("sampling", "random", "numpy", "stream"))
        if isinstance(node, ast.Attribute):
            assert node.attr not in selecting, f"line {node.lineno}: {node.attr}"
        if isinstance(node, ast.Subscript) and id(node) not in annotations:
            holder = ast.unparse(node.value)
            # Dicts by name, tuples by number, a message's first suggestion; a shape is not a tensor.
            allowed = {"predicted", "components", "terms", "spectral_pair"}
            named = holder in allowed or holder.endswith(".shape") or holder.startswith("get_close_matches")
            assert named or ast.unparse(node) == "missing[0]", f"line {node.lineno}: {ast.unparse(node)}"


def _annotations(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
        found.append(node.value if ast.unparse(node.value).startswith(("Mapping[", "Callable[")) else None)
    return [f for f in found if f is not None]
