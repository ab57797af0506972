import json
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch
import zarr
from torch.nn import functional as F

from tests.training.runs import QUIET, config
from ups_data import QueryLoader, QuerySampling, UpsDataError, make_grid_coords
from ups_data.models.reference import build_model
from ups_data.schema import Manifest
from ups_data.training.evaluation.validation import evaluate
from ups_data.training.loop import StepRecord, train
from ups_data.training.runs.trained import load_trained


def test_a_tenth_of_the_points_teaches_the_dense_field(waves: Path, tmp_path: Path) -> None:
    c = config(waves, tmp_path, epochs=12, query_sample_ratio=0.1, query_sampling_mode="stratified")
    records: list[StepRecord] = []
    result = train(c, on_step=records.append, console=QUIET)
    first, last = (result.epochs[i]["loss"]["prediction"] for i in (0, -1))
    assert last < 0.2 * first
    assert result.untrained_nrmse is not None
    assert result.persistence_nrmse is not None
    assert result.valid_nrmse is not None
    assert result.valid_nrmse < 0.5 * result.untrained_nrmse
    assert result.valid_nrmse < 0.7 * result.persistence_nrmse

    assert [e["queries"] for e in result.epochs] == [26] * 12
    assert len(records) == 12 * 7
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["epochs"] == result.epochs
    assert history["valid_nrmse"] == result.valid_nrmse
    assert history["config"]["training"]["query_sample_ratio"] == 0.1
    assert all(e["data_seconds"] + e["compute_seconds"] <= e["seconds"] for e in result.epochs)


def dense_frames(root: Path, split: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per trajectory: frames `(T, N, 1)` and times, by plain zarr."""
    found = []
    for spec in Manifest.load(root).split(split).shards:
        shard = zarr.open_group(root / spec.path, mode="r")
        rows = torch.from_numpy(shard["fields/u"][:]).flatten(1, 2)
        times = torch.from_numpy(shard["trajectories/time"][:])
        found += list(zip(rows.split(spec.steps), times.split(spec.steps), strict=True))
    return found


@pytest.mark.parametrize("explicit", [True, False])
def test_ratio_one_is_bit_identical_to_a_dense_loop(waves: Path, tmp_path: Path, explicit: bool) -> None:
    """Every loss of two epochs, against a loop that never touches loader, query sets or this project's losses."""
    keys: dict[str, Any] = {"query_sample_ratio": 1.0} if explicit else {}
    c = config(waves, tmp_path, **keys)
    records: list[StepRecord] = []
    result = train(c, on_step=records.append, console=QUIET)

    order = []  # which (trajectory, step) each batch held
    loader = QueryLoader(waves, split="train", batch_size=4, sampling=QuerySampling(ratio=1.0))
    for epoch in range(2):
        loader.set_epoch(epoch)
        order += [(batch.trajectory.tolist(), batch.step.tolist(), batch.params) for batch in loader]

    frames, coords, meta = dense_frames(waves, "train"), make_grid_coords((16, 16)), {"grid_shape": (16, 16)}
    torch.manual_seed(0)
    model = build_model(waves, loader.manifest, c.data, c.model)
    statistics = loader.manifest.split("train").statistics["u"]
    mean, std = torch.tensor(statistics.mean), torch.tensor(statistics.std)
    adam = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4, betas=(0.9, 0.99))
    reference = []
    for trajectories, steps, params in order:
        u = torch.stack([frames[i][0][s] for i, s in zip(trajectories, steps, strict=True)])
        v = torch.stack([frames[i][0][s + 1] for i, s in zip(trajectories, steps, strict=True)])
        dt = torch.stack(
            [(frames[i][1][s + 1] - frames[i][1][s]).float() for i, s in zip(trajectories, steps, strict=True)]
        )
        u, v = (u - mean) / std, (v - mean) / std
        latent = model.encoder({"u": u}, coords, meta)
        loss = F.mse_loss(model.decoder(coords, model.advance(latent, dt, params))["u"], v)
        total = 0.1 * F.mse_loss(model.decoder(coords, latent)["u"], u) + loss
        _set_rate(adam, len(reference), len(order))
        adam.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        reference.append((total.item(), loss.item()))
    assert [(r.loss["total"], r.loss["prediction"]) for r in records] == reference
    assert result.model is not None
    for found, expected in zip(result.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(found, expected)


def _set_rate(adam: torch.optim.Optimizer, step: int, steps: int) -> None:
    rise = (step + 1) / 3
    fall = 0.01 + 0.99 * 0.5 * (1 + cos(pi * min(1.0, (step - 2) / (steps - 2))))
    for group in adam.param_groups:
        group["lr"] = 5e-3 * (rise if step < 2 else fall)


def test_static_problems_predict_other_fields(static: Path, tmp_path: Path) -> None:
    fields = {"input_fields": ["a"], "target_fields": ["b"], "horizon": 0}
    result = train(config(static, tmp_path, data=fields, epochs=40, query_sample_ratio=0.5), console=QUIET)
    assert result.persistence_nrmse is None
    assert result.untrained_nrmse is not None
    assert result.valid_nrmse is not None
    assert result.valid_nrmse < 0.5 * result.untrained_nrmse
    assert set(result.epochs[-1]["valid_fields"]) == {"b"}


@pytest.mark.parametrize("mode", ["uniform", "lattice"])
def test_every_loss_runs_on_sampled_points(waves: Path, tmp_path: Path, mode: str) -> None:
    weights = {"prediction": 0.5, "rollout": 1, "inverse_encoding": 0.1, "inverse_decoding": 0.1}
    if mode == "lattice":  # the two that need points with a shape
        weights |= {"latent": 0.1, "spectral": 0.1}
    c = config(
        waves, tmp_path, data={"horizon": 2}, epochs=3, query_sample_ratio=0.3, query_sampling_mode=mode,
        loss_weights=weights, inverse_loss_warmup_epochs=2,
    )  # fmt: skip
    result = train(c, console=QUIET)
    assert set(result.epochs[0]["loss"]) == {"total", *weights} - {"inverse_encoding", "inverse_decoding"}
    assert set(result.epochs[-1]["loss"]) == {"total", *weights}
    assert result.epochs[-1]["loss"]["rollout"] < result.epochs[0]["loss"]["rollout"]


def test_latent_loss_on_scattered_points_is_refused(waves: Path, tmp_path: Path) -> None:
    c = config(waves, tmp_path, query_sample_ratio=0.3, loss_weights={"latent": 1.0})
    with pytest.raises(UpsDataError, match="loss 'latent' has weight 1 but no target_latent"):
        train(c, console=QUIET)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision(waves: Path, tmp_path: Path, precision: str) -> None:
    result = train(config(waves, tmp_path, epochs=4, query_sample_ratio=0.3, precision=precision), console=QUIET)
    assert result.epochs[-1]["loss"]["prediction"] < 0.7 * result.epochs[0]["loss"]["prediction"]


def test_validation_is_the_formula(waves: Path, tmp_path: Path) -> None:
    c = config(waves, tmp_path)
    model = build_model(waves, Manifest.load(waves), c.data, c.model)
    loader = QueryLoader(waves, split="valid", batch_size=3, sampling=QuerySampling(ratio=1.0), input_queries=False)
    found = evaluate(model, loader)
    errors, still = [], []
    for batch in loader:
        predicted = model.predict(batch)["u"]
        for i in range(len(batch)):
            u, v = batch.inputs.fields["u"][i], batch.target_queries.values["u"][i]
            errors.append((predicted[i] - v).norm() / v.norm())
            still.append((u - v).norm() / v.norm())
    assert len(errors) == 10
    assert found.nrmse == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)
    assert found.persistence == pytest.approx(torch.stack(still).mean().item(), rel=1e-5)
    assert found.fields == {"u": found.nrmse}
    assert model.training
    evaluate(model.eval(), loader)
    assert not model.training


def test_a_trained_run_loads_and_predicts_as_it_was_validated(waves: Path, tmp_path: Path) -> None:
    result = train(config(waves, tmp_path, query_sample_ratio=0.3), console=QUIET)
    model, loader = load_trained(tmp_path)
    assert not model.training
    assert evaluate(model, loader).nrmse == result.valid_nrmse
    with pytest.raises(UpsDataError, match="no checkpoint here"):
        load_trained(tmp_path / "elsewhere")
