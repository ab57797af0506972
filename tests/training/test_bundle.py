import pytest
import torch

from ups_data import UpsDataError, make_grid_coords
from ups_data.models.decoder import AnyPointDecoder
from ups_data.models.encoder import GridEncoder
from ups_data.training.bundle import TERMS, compute_operator_loss_bundle, inverse_weight
from ups_data.training.losses import (
    inverse_decoding_loss,
    inverse_encoding_loss,
    latent_step_loss,
    prediction_loss,
    rollout_loss,
    spectral_loss,
)

B, Q, M, D = 2, 64, 16, 32


def everything() -> dict:
    torch.manual_seed(0)
    return {
        "input_fields": {"u": torch.randn(B, Q, 1)},
        "encoded_latent": torch.randn(B, M, D, requires_grad=True),
        "decoder": AnyPointDecoder({"u": 1}, (4, 4), (2, 2), D),
        "encoder": GridEncoder({"u": 1}, (4, 4), (2, 2), D),
        "input_positions": torch.rand(B, Q, 2),
        "input_query_weights": torch.rand(B, Q),
        "coords": make_grid_coords((8, 8)),
        "meta": {"grid_shape": (8, 8)},
        "predicted_latent": torch.randn(B, M, D),
        "target_latent": torch.randn(B, M, D),
        "pred_next": {"u": torch.randn(B, Q, 1)},
        "target_next": {"u": torch.randn(B, Q, 1)},
        "target_query_weights": torch.rand(B, Q),
        "pred_rollout": {"u": torch.randn(B, 3, Q, 1)},
        "target_rollout": {"u": torch.randn(B, 3, Q, 1)},
        "rollout_query_weights": torch.rand(B, 3, Q),
        "target_grid_shape": (8, 8),
    }


def test_all_terms_together() -> None:
    x = everything()
    weights = {name: 0.5 + i for i, name in enumerate(TERMS)}
    found = compute_operator_loss_bundle(**x, weights=weights)
    expected = {
        "inverse_encoding": inverse_encoding_loss(
            x["input_fields"], x["encoded_latent"], x["decoder"], x["input_positions"], 0.5, x["input_query_weights"]
        ),
        "inverse_decoding": inverse_decoding_loss(
            x["encoded_latent"], x["decoder"], x["encoder"], None, x["coords"], x["meta"], 1.5
        ),
        "latent": 2.5 * latent_step_loss(x["predicted_latent"], x["target_latent"]),
        "prediction": 3.5 * prediction_loss(x["pred_next"], x["target_next"], x["target_query_weights"]),
        "rollout": 4.5 * rollout_loss(x["pred_rollout"], x["target_rollout"], x["rollout_query_weights"]),
        "spectral": 5.5 * spectral_loss(x["pred_rollout"], x["target_rollout"], (8, 8)),
    }
    assert list(found.components) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found.components[name], value)
    torch.testing.assert_close(found.total, sum(expected.values()))
    found.total.backward()
    assert x["encoded_latent"].grad.abs().sum() > 0


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_optional(term: str) -> None:
    """Alone, with the others' weight 0 or left out, and with nothing but its own inputs."""
    x = everything()
    total, components = compute_operator_loss_bundle(**x, weights={term: 1.0})
    assert list(components) == [term]
    assert total.item() == components[term].item()
    others = {name: 0.0 for name in TERMS if name != term}
    assert compute_operator_loss_bundle(**x, weights={**others, term: 1.0}).total.item() == total.item()


@pytest.mark.parametrize(
    ("term", "missing"),
    [
        ("inverse_encoding", "input_positions"),
        ("inverse_encoding", "decoder"),
        ("inverse_decoding", "encoder"),
        ("inverse_decoding", "meta"),
        ("latent", "target_latent"),
        ("prediction", "target_next"),
        ("rollout", "pred_rollout"),
    ],
)
def test_a_weight_without_its_inputs_is_an_error(term: str, missing: str) -> None:
    x = everything() | {missing: None}
    name = (
        missing if missing in ("input_positions", "decoder", "encoder", "meta", "target_latent") else "predicted|target"
    )
    with pytest.raises(UpsDataError, match=f"loss '{term}' has weight 2 but no .*({name})"):
        compute_operator_loss_bundle(**x, weights={term: 2.0})
    # Also while its warm-up keeps it out: the mistake should not wait for a later epoch.
    with pytest.raises(UpsDataError, match=term):
        compute_operator_loss_bundle(**x, weights={term: 2.0}, current_epoch=0, inverse_loss_warmup_epochs=5)


def test_unknown_and_negative_weights() -> None:
    with pytest.raises(UpsDataError, match="no loss 'inverse_encodin': did you mean 'inverse_encoding'"):
        compute_operator_loss_bundle(**everything(), weights={"inverse_encodin": 1.0})
    with pytest.raises(UpsDataError, match="no loss 'predict': did you mean 'prediction'"):
        compute_operator_loss_bundle(**everything(), weights={"predict": 0.0})
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UpsDataError, match="give a number from 0"):
            compute_operator_loss_bundle(**everything(), weights={"prediction": bad})


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 0.0), (1, 0.2), (2, 0.4), (4, 0.8), (5, 1.0), (50, 1.0), (None, 1.0)]
)
def test_inverse_weights_rise_with_the_epochs(epoch: int | None, expected: float) -> None:
    assert inverse_weight(1.0, epoch, warmup_epochs=5) == pytest.approx(expected)
    assert inverse_weight(1.0, epoch, warmup_epochs=5, max_weight=0.3) == pytest.approx(min(expected, 0.3))
    assert inverse_weight(1.0, epoch) == 1.0

    x = everything()
    names = ("inverse_encoding", "inverse_decoding", "prediction")
    weights = dict.fromkeys(names, 1.0)
    full = compute_operator_loss_bundle(**x, weights=weights).components
    ramped = compute_operator_loss_bundle(
        **x, weights=weights, current_epoch=epoch, inverse_loss_warmup_epochs=5
    ).components
    assert ramped["prediction"].item() == full["prediction"].item()
    for name in names[:2]:
        assert (name in ramped) == (expected > 0)
        if expected:
            assert ramped[name].item() == pytest.approx(expected * full[name].item())


def test_nothing_to_do_is_zero() -> None:
    total, components = compute_operator_loss_bundle(
        **everything(), weights={"inverse_encoding": 1.0}, current_epoch=0, inverse_loss_warmup_epochs=3
    )
    assert total.item() == 0
    assert components == {}
