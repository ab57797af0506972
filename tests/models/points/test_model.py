"""The model for points: any numbers of points, several sets, padding that changes nothing, a latent for all queries."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.models.config import ModelConfig
from ups_data.models.points.build import build_points
from ups_data.models.points.model import PointsModel
from ups_data.models.points.pooling import chosen
from ups_data.training import batch_losses, load_config, load_trained, train
from ups_data.training.config import DataConfig
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint

SETS = ("surface", "volume")
SMALL = {"dim": 16, "depth": 1, "heads": 2, "tokens": 8, "supernodes": 12, "neighbours": 4}


def loader(root, ratio=1.0, **options):
    given = {"sampling": dict.fromkeys(SETS, QuerySampling(ratio=ratio))}
    given |= {"split": "train", "batch_size": 4, "horizon": 0, "ragged": "pad", "input_fields": ["normal"]}
    given |= {"target_fields": ["p", "u"], "shuffle": False, "input_queries": False}
    return QueryLoader(root, **(given | options))


def model_for(made, **options):
    data = DataConfig(root="", input_fields=made.options.input_fields, target_fields=made.options.target_fields)
    return build_points(made.manifest, data, ModelConfig(**(SMALL | options))).eval()


def test_padding_changes_nothing(shapes):
    """A sample among larger ones gives the latent, the prediction and the loss that it gives alone."""
    together, alone = loader(shapes), loader(shapes, batch_size=1)
    model = model_for(together)
    batch = next(iter(together))
    assert batch["surface"].inputs.mask is not None
    latents = model.encode(batch)
    predicted = model.predict(batch)
    inputs = batch.inputs  # of the surface; what fills its rows may lie in the midst of real points
    among = torch.where(inputs.mask[..., None], inputs.coords, inputs.coords[:, 5:6])
    torch.testing.assert_close(model.encode(replace(batch, inputs=replace(inputs, coords=among))), latents)
    for number, one in zip(range(4), alone, strict=False):
        torch.testing.assert_close(model.encode(one)[0], latents[number], rtol=1e-5, atol=1e-6)
        for name, values in model.predict(one).items():
            torch.testing.assert_close(predicted[name][number, : values.shape[1]], values[0], rtol=1e-5, atol=1e-6)
    total = batch_losses(model, batch, weights={"prediction": 1.0}).total
    parts = [batch_losses(model, one, weights={"prediction": 1.0}).total for one in islice(alone, 4)]
    torch.testing.assert_close(total, torch.stack(parts).mean(), rtol=1e-5, atol=1e-6)


def test_one_latent_serves_queries_in_any_parts(shapes):
    made = loader(shapes)
    model, batch = model_for(made), next(iter(made))
    latent = model.advance(model.encode(batch), batch.dt, batch.params)
    predicted = model.predict(batch)
    assert set(predicted) == {"p", "u"}
    for name, field in (("surface", "p"), ("volume", "u")):
        queries = batch[name].target_queries
        first, others = queries.split(5)
        found = torch.cat([model.decode(latent, part, name)[field] for part in (first, others)], dim=1)
        torch.testing.assert_close(found, predicted[field], rtol=1e-5, atol=1e-6)
    other = replace(batch, target_queries=batch.target_queries.split(3)[0])
    torch.testing.assert_close(model.encode(other), model.encode(batch))


def test_shape_and_parameter_matter_and_targets_do_not_leak(shapes):
    made = loader(shapes)
    model, batch = model_for(made), next(iter(made))
    before = model.predict(batch)["u"]
    turned = batch._with(params={"angle": batch.params["angle"] + 1})
    assert (model.predict(turned)["u"] - before).abs().max() > 1e-4
    inputs = replace(batch.inputs, coords=batch.inputs.coords.flip(-1))
    assert (model.predict(replace(batch, inputs=inputs))["u"] - before).abs().max() > 1e-4
    assert set(batch["surface"].inputs.fields) == {"normal"}
    assert batch["volume"].inputs.fields == {}
    assert list(model.encoder.poolings) == ["surface"]


def test_inverse_terms_are_those_of_sets_that_have_inputs(shapes):
    made = loader(shapes, input_queries=True)
    model, batch = model_for(made).train(), next(iter(made))
    weights = {"prediction": 1.0, "inverse_encoding": 0.5, "inverse_decoding": 0.5}
    losses = batch_losses(model, batch, weights=weights)
    assert set(losses.components) == set(weights)
    losses.total.backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    bare = loader(shapes, input_fields=[], input_queries=True)
    only = batch_losses(model_for(bare, encode=["surface"]), next(iter(bare)), weights=weights)
    assert set(only.components) == {"prediction"}
    with pytest.raises(UpsDataError, match="spectral"):
        batch_losses(model, batch, weights={"spectral": 1.0})


def test_samples_that_only_fill_a_batch_count_nothing(shapes):
    made = loader(shapes)
    model, batch = model_for(made), next(iter(made))
    valid = torch.tensor([True, True, False, False])
    weights = {"prediction": 1.0}
    total = batch_losses(model, batch.only(valid), weights=weights).total
    other = {**batch.target_queries.values, "p": batch.target_queries.values["p"] * (1 + 9 * ~valid[:, None, None])}
    changed = replace(batch, target_queries=replace(batch.target_queries, values=other))
    torch.testing.assert_close(batch_losses(model, changed.only(valid), weights=weights).total, total)


def test_errors_of_every_set_are_told(shapes):
    made = loader(shapes)
    model, batch = model_for(made), next(iter(made))
    told = []
    batch_losses(model, batch, weights={"prediction": 1.0}, on_errors=told.append)
    assert {name: e.shape for name, e in told[0].items()} == {s: batch[s].target_queries.index.shape for s in SETS}


def test_points_that_move_over_several_steps(swarm):
    made = QueryLoader(
        swarm, split="train", batch_size=2, sampling=0.5, horizon=2, inputs=QuerySampling(num_queries=20)
    )
    model, batch = model_for(made).train(), next(iter(made))
    weights = {"rollout": 1.0, "prediction": 0.0, "inverse_encoding": 0.1, "latent": 0.1}
    losses = batch_losses(model, batch, weights=weights)
    assert set(losses.components) == {"rollout", "inverse_encoding", "latent"}
    assert model.eval().predict(batch)["v"].shape == batch.target_queries.values["v"].shape
    states = model.advance(model.encode(batch), batch.dt, batch.params)
    assert states.shape == (2, 2, 8, 16)


def test_one_set_of_several_comes_without_its_name(shapes):
    """A loader of fields on one set gives batches of one set."""
    whole, part = loader(shapes), loader(shapes, sampling={"surface": QuerySampling()}, target_fields=["p"])
    model, batch = model_for(whole), next(iter(part))
    assert batch.set_name is None
    torch.testing.assert_close(model.encode(batch), model.encode(next(iter(whole))))
    one = model_for(part)
    assert set(one.predict(batch)) == {"p"}
    assert set(batch_losses(one, batch, weights={"prediction": 1.0}).components) == {"prediction"}


def test_supernodes_are_spread_over_real_points():
    mask = torch.arange(100) < torch.tensor([100, 30, 4])[:, None]
    coords = torch.rand(3, 100, 2)
    index = chosen(coords, mask, 10, jitter=False)
    assert index.tolist() == [list(range(5, 100, 10)), list(range(1, 30, 3)), [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]]
    drawn = torch.stack([chosen(coords, mask, 10, jitter=True) for _ in range(200)])
    assert (drawn[:, 1] < 30).all()
    assert len(drawn[:, 0].unique()) == 100


def test_sets_and_sizes_that_do_not_fit_are_one_line(shapes):
    made = loader(shapes)
    with pytest.raises(UpsDataError, match="the dataset has surface, volume"):
        model_for(made, encode=["hull"])
    with pytest.raises(UpsDataError, match="have no axes"):
        model_for(made, tokens=[4, 4])


def test_trained_by_the_same_loop_and_loaded_again(shapes, tmp_path):
    path = tmp_path / "shapes.yaml"
    path.write_text(
        f"""
data: {{root: {shapes}, batch_size: 4, horizon: 0, repeats: 8, ragged: pad, input_fields: [normal],
  target_fields: [p, u]}}
model: {{dim: 16, depth: 1, tokens: 8, supernodes: {{surface: 12}}, neighbours: 4}}
training: {{epochs: 6, lr: 5.0e-3, query_sample_ratio: 0.5, validate_every: 6, device: cpu}}
out: {tmp_path / "run"}
"""
    )
    result = train(load_config(path))
    assert isinstance(result.model, PointsModel)
    assert set(result.epochs[-1]["valid_fields"]) == {"p", "u"}
    losses = [entry["loss"]["prediction"] for entry in result.epochs]
    assert losses[-1] < 0.4 * losses[0]
    model, valid = load_trained(tmp_path / "run")
    batch = next(iter(valid))
    torch.testing.assert_close(model.predict(batch), result.model.eval().predict(batch))
    assert batch["volume"].target_queries.mask is not None  # every point of shapes of different sizes


def test_a_run_feeds_the_errors_of_every_set_back(shapes, tmp_path):
    """In parts of a step, too."""
    path = tmp_path / "shapes.yaml"
    path.write_text(
        f"""
data: {{root: {shapes}, batch_size: 2, horizon: 0, repeats: 2, ragged: pad, input_fields: [normal],
  target_fields: [p, u]}}
model: {{dim: 16, depth: 1, tokens: 8, supernodes: 12, neighbours: 4}}
training: {{epochs: 2, query_sample_ratio: 0.5, accumulate: 2, query_sampling_mode: importance, importance_window: 1,
  importance_metric: error, device: cpu}}
out: {tmp_path / "run"}
"""
    )
    train(load_config(path))
    told = load_checkpoint(tmp_path / "run" / CHECKPOINT)["loader"]["feedback"]
    assert set(told) == {"surface", "volume"}
    for name, of_set in told.items():
        assert float((of_set["average"] + of_set["sum"]).sum()) > 0, name
