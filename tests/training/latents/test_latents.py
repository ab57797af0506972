"""Stored latents: what they hold, training on them, and whose are refused."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.cli.programs import printed
from tests.training.points_model import clouds_model
from tests.training.runs import QUIET, config, lines
from ups_data import QueryLoader
from ups_data.errors import UpsDataError
from ups_data.models.encoder import GridEncoder
from ups_data.schema import Manifest
from ups_data.training import TrainConfig, evaluate_run, load_trained, train
from ups_data.training.latents import with_latents, write_latents
from ups_data.training.runs.trained import trained_run


@pytest.fixture(scope="module")
def data(waves_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run's dataset with latents in it."""
    root = tmp_path_factory.mktemp("latents") / "data"
    shutil.copytree(waves_run.with_name("small"), root)
    text = printed("latents", waves_run, root)
    assert f"data.latents={root / 'latents'}" in text.replace("\n", "")
    return root


def operator_config(root: Path, out: Path, run: Path, *, weights: dict[str, float], latents: bool) -> TrainConfig:
    options = {"start_from": str(run), "loss_weights": weights, "query_sample_ratio": 1.0, "epochs": 2}
    if latents:
        return config(root, out, data={"latents": str(root / "latents"), "horizon": 2}, **options)
    return config(root, out, data={"horizon": 2}, frozen=["normalizer", "encoder"], **options)


def test_they_are_what_the_encoder_gives(waves_run: Path, data: Path) -> None:
    """At every frame of every split, in a loader's batches, whatever its order, points and horizon."""
    run = trained_run(waves_run)
    (folder,) = (data / "latents").iterdir()
    manifest = Manifest.load(folder)
    assert {n: s.num_trajectories for n, s in manifest.splits.items()} == {"train": 3, "valid": 1, "test": 3}
    assert [sum(shard.steps) for shard in manifest.split("train").shards] == [18]
    loader = QueryLoader(data, split="train", batch_size=3, sampling=0.2, horizon=2, seed=3)
    seen = 0
    for batch in with_latents(loader, folder, run.model, run.config.data):
        assert batch.latents is not None
        with torch.no_grad():
            z0 = run.model.encode_inputs(batch.inputs)
        torch.testing.assert_close(batch.latents.z0, z0, rtol=1e-5, atol=1e-6)
        frames = QueryLoader(data, split="train", batch_size=1, sampling=1.0, horizon=0, shuffle=False)
        later = {(int(b.trajectory), int(b.step)): b for b in frames}
        for row, (trajectory, step) in enumerate(zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)):
            for k in (0, 1):
                with torch.no_grad():
                    z1 = run.model.encode(later[trajectory, step + 1 + k])[0]
                torch.testing.assert_close(batch.latents.z1[row, k], z1, rtol=1e-5, atol=1e-6)
        seen += len(batch)
    assert seen == 12
    printed("verify", data)  # the dataset is as sound as before
    printed("verify", folder)


@pytest.mark.parametrize(
    "weights",
    [{"rollout": 1.0, "latent": 0.5, "inverse_encoding": 0.0}, {"rollout": 1.0, "inverse_encoding": 0.3}],
    ids=["without inputs", "with input queries"],
)
def test_training_on_them_is_training_with_a_frozen_encoder(
    waves_run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float]
) -> None:
    encoded = []
    forward = GridEncoder.forward

    def counted(self: GridEncoder, *given: object) -> object:
        encoded.append(self.training)
        return forward(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(GridEncoder, "forward", counted)
    fly = train(operator_config(data, tmp_path / "fly", waves_run, weights=weights, latents=False), console=QUIET)
    assert any(encoded)
    encoded.clear()
    stored = train(operator_config(data, tmp_path / "on", waves_run, weights=weights, latents=True), console=QUIET)
    assert not any(encoded)  # validation encodes, steps do not
    each = [[line["loss"] for line in lines(tmp_path / n) if "loss" in line] for n in ("fly", "on")]
    assert len(each[0]) == len(each[1]) > 4
    for of_fly, of_stored in zip(*each, strict=True):
        assert of_stored == pytest.approx(of_fly, rel=1e-6)
    assert each[0][-1]["total"] != pytest.approx(each[0][0]["total"], rel=1e-3)
    before, _ = load_trained(waves_run)
    for name, value in before.state_dict().items():
        same = torch.equal(value, stored.model.state_dict()[name])
        assert same or not name.startswith(("encoder", "normalizer")), name
    assert stored.valid_nrmse == pytest.approx(fly.valid_nrmse, rel=1e-4)
    assert evaluate_run(tmp_path / "on", split="valid").values["samples"] > 0


def test_those_of_another_encoder_or_dataset_are_refused(waves_run: Path, data: Path, tmp_path: Path) -> None:
    (folder,) = (data / "latents").iterdir()
    new = config(data, tmp_path / "new", data={"latents": str(folder)}, epochs=1)
    with pytest.raises(UpsDataError, match=r"latents of the encoder \w{16}, the model's is \w{16}: start from"):
        train(new, console=QUIET)
    above = config(data, tmp_path / "new", data={"latents": str(data / "latents")}, epochs=1)
    with pytest.raises(UpsDataError, match=rf"no latents of the encoder \w{{16}} \(those of {folder.name} are there\)"):
        train(above, console=QUIET)
    nowhere = config(data, tmp_path / "new", data={"latents": str(tmp_path / "no")}, epochs=1)
    with pytest.raises(UpsDataError, match=r"\(none are there\)"):
        train(nowhere, console=QUIET)
    assert not (tmp_path / "new").exists()
    run = trained_run(waves_run)
    from ups_data import ShardWriter

    with ShardWriter(tmp_path / "other") as writer:
        writer.add({"u": torch.rand(3, 12, 12, 1).numpy()}, split="train", params={"nu": 0.0})
    loader = QueryLoader(tmp_path / "other", split="train", batch_size=1, sampling=0.5)
    with pytest.raises(UpsDataError, match="latents of another dataset than the loader's"):
        with_latents(loader, folder, run.model, run.config.data)


def test_made_once_and_nothing_half_made(
    waves_run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clouds_run: Path, clouds: Path
) -> None:
    (folder,) = (data / "latents").iterdir()
    calls = []

    def fails(self: GridEncoder, *given: object) -> object:
        calls.append(1)
        raise UpsDataError("no")

    monkeypatch.setattr(GridEncoder, "forward", fails)
    assert write_latents(waves_run, data) == folder
    assert not calls
    with pytest.raises(UpsDataError, match="^no$"):
        write_latents(waves_run, data, tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with pytest.raises(UpsDataError, match="Points has no method encoder_parts, which latents need"):
        write_latents(clouds_run, clouds, model=clouds_model())
    with pytest.raises(UpsDataError, match="the model needs the field 'u'"):
        write_latents(waves_run, clouds)
    assert not (clouds / "latents").exists()


def test_what_a_run_starts_from(waves_run: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match="no checkpoint here"):
        train(config(data, tmp_path / "r", start_from=str(tmp_path)), console=QUIET)
    with pytest.raises(UpsDataError, match="does not fit this run"):
        wider = config(data, tmp_path / "r", start_from=str(waves_run))
        train(wider.model_copy(update={"model": wider.model.model_copy(update={"dim": 48})}), console=QUIET)
    with pytest.raises(UpsDataError, match="training.frozen: the model has no part 'encodr': choose of normalizer"):
        train(config(data, tmp_path / "r", frozen=["encodr"]), console=QUIET)
