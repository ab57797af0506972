from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

import pytest

from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.loader.options import LoaderOptions
from ups_data.training.config import TrainConfig, known_keys, load_config
from ups_data.training.loaders import train_loader, valid_loader

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("train_*.yaml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("data:\n  root: somewhere\ntraining:\n  epochs: 10\n")
    return path


def test_without_query_keys_training_is_dense(path: Path) -> None:
    sampling = load_config(path).to_sampling()
    assert [sampling.count(1000, epoch) for epoch in range(10)] == [1000] * 10


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_the_project_s_configurations_are_valid_and_dense_by_default(config: Path) -> None:
    with pytest.raises(UpsDataError, match=r"data\.root is missing: .* give data\.root=… on the command line"):
        load_config(config)
    loaded = load_config(config, ["data.root=x"])
    assert loaded.to_sampling().count(1000, 0) == 1000
    assert load_config(config, ["data.root=x", "training.query_sample_ratio=0.1"]).to_sampling().count(1000, 3) == 100


def test_overrides_win_in_order(path: Path) -> None:
    config = load_config(path, ["training.lr=1e-4", "training.lr=0.5", "data.input_fields=[a,b]", "out=here"])
    assert (config.training.lr, config.data.input_fields, config.out) == (0.5, ["a", "b"], "here")
    assert config.training.epochs == 10


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["training.query_sample_ratio=0.3"], QuerySampling(ratio=0.3)),
        (
            ["training.query_sample_ratio=0.3", "training.query_sampling_mode=random"],
            QuerySampling(ratio=0.3, mode="uniform"),
        ),
        (
            ["training.query_sampling_schedule=cosine", "training.query_sample_ratio=0.2"],
            QuerySampling(schedule="cosine", start_ratio=1.0, end_ratio=0.2, end_epoch=9),
        ),
        (
            [
                "training.query_sampling_schedule=linear",
                "training.query_sample_start_ratio=0.1",
                "training.query_sample_end_ratio=0.5",
                "training.query_sample_start_epoch=4",
                "training.query_sampling_mode=stratified",
            ],
            QuerySampling(
                schedule="linear", mode="stratified", start_ratio=0.1, end_ratio=0.5, start_epoch=4, end_epoch=9
            ),
        ),
        (
            ["training.query_sample_ratio=0.1", "training.query_sample_start_epoch=3", "training.query_multiple=64"],
            QuerySampling(ratio=0.1, start_epoch=3, query_multiple=64),
        ),
        (
            [
                "training.query_sampling_schedule=step",
                "training.query_sample_end_ratio=0.1",
                "training.query_schedule_jumps=3",
                "training.query_schedule_unit=step",
                "training.query_off_grid=true",
            ],
            QuerySampling(
                schedule="step",
                start_ratio=1.0,
                end_ratio=0.1,
                end_epoch=9,
                jumps=3,
                schedule_unit="step",
                off_grid=True,
            ),
        ),
        (
            [
                "training.query_sample_ratio=0.1",
                "training.query_sampling_mode={stratified: 0.7, importance: 0.3}",
                "training.query_mode_schedule={5: importance}",
                "training.importance_metric=error",
                "training.importance_window=2",
                "training.importance_floor=0.2",
                "training.importance_decay=0.8",
                "training.importance_shared=true",
            ],
            QuerySampling(
                ratio=0.1,
                mode={"stratified": 0.7, "importance": 0.3},
                mode_schedule={5: "importance"},
                importance_metric="error",
                importance_window=2,
                importance_floor=0.2,
                importance_decay=0.8,
                importance_shared=True,
            ),
        ),
    ],
)
def test_query_keys_mean_what_the_design_says(path: Path, overrides: list[str], expected: QuerySampling) -> None:
    assert load_config(path, overrides).to_sampling() == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.query_sample_ration=0.1", "unknown key 'training.query_sample_ration': did you mean "
         "'training.query_sample_ratio'"),
        ("training.query_sampling_ratio=0.1", "did you mean 'training.query_sample_ratio'"),
        ("query_sample_ratio=0.1", "did you mean 'training.query_sample_ratio'"),
        ("data.lr=0.1", "did you mean 'training.lr'"),
        ("modle.dim=8", "did you mean 'model"),
        ("training.loss_weights.predction=1", "did you mean 'prediction'"),
        ("training.query_sample_ratio=0", "ratio is 0: give a number above 0 and at most 1"),
        ("training.query_sample_ratio=1.5", "ratio is 1.5"),
        ("training.query_sample_start_ratio=0.5", "no effect on a constant schedule"),
        ("training.query_sampling_mode=stratifed", "did you mean 'stratified'"),
        ("training.query_sampling_mode={stratified: 0.5}", "the shares of mode's mixture add up to 0.5"),
        ("training.query_mode_schedule={3: importence}", "did you mean 'importance'"),
        ("training.query_schedule_unit=batch", "training.query_schedule_unit is 'batch'"),
        ("training.importance_floor=2", "importance_floor is 2"),
        ("training.importance_decay=1", "importance_decay is 1: give a number from 0 and below 1"),
        ("training.importance_metric=slope", "training.importance_metric is 'slope'"),
        ("training.query_sampling_schedule=cosin", "did you mean 'cosine'"),
        ("training.epochs=many", "training.epochs is 'many'"),
        ("training.epochs=0", "training.epochs is 0"),
        ("training.precision=fp8", "training.precision is 'fp8'"),
        ("training.lr=-1", "training.lr is -1"),
        ("training.loss_weights.prediction=-1", "give a number from 0"),
        ("training.loss_weights.rollout=1", "needs data.horizon of 2 or more"),
        ("training.epochs", "is not key=value"),
        ("data.timeout=0", "data.timeout is 0"),
        ("data.verify=sometimes", "data.verify is 'sometimes'"),
        ("data.on_damage=ignore", "data.on_damage is 'ignore': Input should be 'raise' or 'skip'"),
        ("data.max_damaged=-1", "data.max_damaged is -1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_file_and_key(path: Path, override: str, message: str) -> None:
    with pytest.raises(UpsDataError) as error:
        load_config(path, [override])
    text = str(error.value)
    assert message in text
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match=r"missing\.yaml: no such file"):
        load_config(tmp_path / "missing.yaml")
    for content, message in (("a: [1", "not a configuration"), ("- 1", "not a configuration"), ("", "data is missing")):
        path = tmp_path / "bad.yaml"
        path.write_text(content)
        with pytest.raises(UpsDataError, match=message) as error:
            load_config(path)
        assert "\n" not in str(error.value)


def test_the_design_s_keys_exist() -> None:
    keys = {k.removeprefix("training.") for k in known_keys(TrainConfig)}
    assert keys >= {
        "query_sample_ratio",
        "query_sampling_schedule",
        "query_sample_start_ratio",
        "query_sample_end_ratio",
        "query_sample_start_epoch",
        "query_sampling_mode",
        "importance_metric",
        "importance_window",
    }


def test_the_loader_s_guards_reach_it(waves: Path) -> None:
    config = TrainConfig.model_validate(
        {"data": {"root": str(waves), "timeout": None, "verify": "always", "on_damage": "skip", "max_damaged": 3}}
    )
    with patch("ups_data.training.loaders.QueryLoader", wraps=QueryLoader) as made:
        valid_loader(config, train_loader(config))
    assert len(made.call_args_list) == 2
    for call in made.call_args_list:
        given = [getattr(call.args[1], name) for name in ("timeout", "verify", "on_damage", "max_damaged")]
        assert given == [None, "always", "skip", 3]


def test_a_configuration_has_every_option_of_the_loader() -> None:
    keys = set(known_keys())
    for spec in fields(LoaderOptions):
        assert f"data.{'train_split' if spec.name == 'split' else spec.name}" in keys
    few = {"ratio": 0.1, "mode": "blocks"}
    data = {"root": "d", "inputs": {"surface": few, "volume": 0.2}, "repeats": 3}
    config = TrainConfig.model_validate({"data": data})
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    made = config.data.loader_options("test", sampling=0.5)
    assert made.inputs == {"surface": QuerySampling(**few), "volume": QuerySampling(ratio=0.2)}
    assert (made.split, made.repeats, made.sampling) == ("test", 3, QuerySampling(ratio=0.5))
    assert made.timeout == LoaderOptions(split="test", batch_size=1, sampling=0.5).timeout
