import pytest
import torch

from ups_data.models.attention import DistanceAttention, token_centres
from ups_data.models.decoder import AnyPointDecoder, decode_dense


def decoder(d: int = 2) -> AnyPointDecoder:
    torch.manual_seed(0)
    return AnyPointDecoder({"u": 2, "p": 1}, (4,) * d, (8,) * d, 32)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("queries", [1, 7, 300])
def test_any_number_of_queries_in_any_dimension(d: int, queries: int) -> None:
    values = decoder(d)(torch.rand(3, queries, d), torch.randn(3, 4**d, 32))
    assert {name: tuple(v.shape) for name, v in values.items()} == {"u": (3, queries, 2), "p": (3, queries, 1)}


def test_queries_do_not_see_one_another() -> None:
    """Permuting the points permutes the values; leaving points out leaves the others' values alone."""
    dec, points, latent = decoder(), torch.rand(2, 50, 2), torch.randn(2, 16, 32)
    values = dec(points, latent)["u"]
    order = torch.randperm(50)
    torch.testing.assert_close(dec(points[:, order], latent)["u"], values[:, order])
    torch.testing.assert_close(dec(points[:, :13], latent)["u"], values[:, :13])


def test_the_latent_matters_where_its_token_is() -> None:
    """Local from the start: changing one token changes values near it most."""
    dec, latent = decoder(), torch.randn(1, 16, 32)
    centres = token_centres((4, 4))[None]
    other = latent.clone()
    other[:, 6] += 3.0
    change = (dec(centres, other)["u"] - dec(centres, latent)["u"]).abs().sum(-1)[0]
    assert change[6] > 20 * change[12]  # the far corner
    near = [1, 2, 5, 6]  # heads start by looking half a cell to every side
    assert change[near].sum() > 0.5 * change.sum()


def test_shared_points_decode_like_points_per_sample() -> None:
    dec, points, latent = decoder(), torch.rand(1, 9, 2), torch.randn(4, 16, 32)
    shared = dec(points, latent)["u"]
    assert torch.equal(dec(points.expand(4, -1, -1), latent)["u"], shared)
    torch.testing.assert_close(dec(points.repeat(4, 1, 1), latent)["u"], shared)


@pytest.mark.parametrize("chunk", [7, 101, 10_000])
def test_dense_decoding_drops_no_tail(chunk: int) -> None:
    dec, points, latent = decoder(), torch.rand(1, 101, 2), torch.randn(3, 16, 32)
    found = decode_dense(dec, points, latent, chunk=chunk)
    expected = dec(points, latent)
    assert not found["u"].requires_grad
    for name in ("u", "p"):
        torch.testing.assert_close(found[name], expected[name])


def test_attention_is_what_its_formula_says() -> None:
    """The folded distance bias equals softmax(q·k/√e − s |x + δ − c|²/spacing²) written out."""
    torch.manual_seed(0)
    attend = DistanceAttention(32, 4, (3, 5))
    features, points, tokens = torch.randn(2, 11, 32), torch.rand(2, 11, 2), torch.randn(2, 15, 32)
    centres, spacing = token_centres((3, 5)), torch.tensor([1 / 5, 1 / 3])
    assert torch.allclose(centres[1], torch.tensor([0.3, 1 / 6]))  # x runs along the last axis

    heads = []
    q = attend.query(features).unflatten(-1, (4, -1))
    k = attend.key(tokens).unflatten(-1, (4, -1))
    v = attend.value(tokens).unflatten(-1, (4, -1))
    for h in range(4):
        offset = (points[:, :, None] - centres) / spacing + attend.look[h]
        logits = q[:, :, h] @ k[:, :, h].mT / q.shape[-1] ** 0.5
        logits = logits - attend.log_sharpness[h].exp() * offset.square().sum(-1)
        heads.append(logits.softmax(-1) @ v[:, :, h])
    expected = attend.out(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attend(features, points, tokens), expected, rtol=1e-4, atol=1e-5)
