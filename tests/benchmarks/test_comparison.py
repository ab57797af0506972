"""The comparison of ways to choose points: what is run, what is kept, and what the table says of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.sampling.comparison import RUN, Variant, compare, configs_of, costs_of, train_and_record, variants
from benchmarks.sampling.comparison_plot import plot_comparison
from benchmarks.sampling.comparison_table import HEADER, markdown, rows
from benchmarks.sampling.comparison_times import StepCost
from tests.training.conftest import travelling_waves
from ups_data import ShardWriter, UpsDataError

CONFIG = """
data: {batch_size: 4, threads: 0}
model: {dim: 16, tokens: 4, depth: 1}
training: {epochs: 2, lr: 5.0e-3, lr_warmup_steps: 2, device: cpu}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 × 16 in blocks, three training trajectories and one for validation, with importance."""
    root = tmp_path_factory.mktemp("data") / "waves"
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ups_data.writing.chunks.rows_of_block_chunk.__defaults__", (1,))  # a block of a frame to a chunk
        with ShardWriter(root, blocks=4, importance=("gradient",)) as writer:
            for i in range(4):
                writer.add({"u": travelling_waves(rng, 6, (16, 16))}, split="train" if i < 3 else "valid")
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "compare.yaml"
    path.write_text(CONFIG)
    return path


def test_dense_comes_first_and_nothing_twice() -> None:
    found = variants(["uniform", "blocks"], ["0.5", "1"], ["blocks 0.5", "stratified cosine:1.0:0.2"], [1, 3])
    names = [variant.name for variant in found]
    assert names == [
        "dense",
        "dense, 1 epoch",
        "dense, 3 epochs",
        "uniform 0.5",
        "blocks 0.5",
        "stratified cosine:1.0:0.2",
    ]
    assert len({variant.folder for variant in found}) == len(found)


def test_a_variant_is_keys_of_the_configuration(root: Path, config: Path, tmp_path: Path) -> None:
    [_, own] = variants([], [], ["stratified 0.05 4"])
    assert own == Variant("stratified", "0.05", batch_size=4)
    assert "data.batch_size=4" in own.overrides()
    chosen = {
        "short": Variant("uniform", "1", 1),
        "error": Variant("importance:error", "0.25"),
        "mixture": Variant("stratified=0.7+importance=0.3:gradient", "0.25"),
        "cosine": Variant("blocks", "cosine:1.0:0.5"),
    }
    configs = configs_of(config, [f"data.root={root}"], list(chosen.values()), [7], tmp_path)
    found = {name: configs[variant, 7] for name, variant in chosen.items()}
    sampling = {name: run.to_sampling() for name, run in found.items()}
    assert (found["short"].training.epochs, found["error"].training.epochs) == (1, 2)
    assert (sampling["error"].metric, sampling["error"].ratio) == ("error", 0.25)
    assert dict(sampling["mixture"].mode) == {"stratified": 0.7, "importance": 0.3}  # type: ignore[arg-type]
    assert [sampling["cosine"].ratio_at(e) for e in (0, 1)] == [1.0, 0.5]
    assert {(run.data.seed, run.training.seed) for run in found.values()} == {(7, 7)}


@pytest.mark.parametrize(
    ("also", "says"),
    [
        ("stratified", "give a mode and a ratio"),
        ("uniform sine:1:0", "such as cosine:1.0:0.2"),
        ("unform 0.5", "unif"),
        ("uniform 0.5 four", "such as 'stratified 0.05 4'"),
        ("uniform 0.5 4 4", "such as 'stratified 0.05 4'"),
    ],
)
def test_what_is_no_variant_is_refused(root: Path, config: Path, tmp_path: Path, also: str, says: str) -> None:
    with pytest.raises(UpsDataError, match=says):
        configs_of(config, [f"data.root={root}"], variants([], [], [also]), [0], tmp_path)


def test_what_ended_is_not_run_again(root: Path, config: Path, tmp_path: Path) -> None:
    """Three ways, one seed; then the same again, and after changes."""
    chosen = variants(["blocks"], ["0.25"], ["importance:error cosine:1.0:0.25"])
    configs = configs_of(config, [f"data.root={root}"], chosen, [0], tmp_path)
    said: list[tuple[int, int, str]] = []
    records = compare(configs, progress=lambda *now: said.append(now))
    assert [r["name"] for r in records] == [variant.name for variant in chosen]
    assert {name for *_, name in said} >= {f"{variant.name}, seed 0" for variant in chosen}
    assert said[-1] == (18, 18, "")
    assert [done for done, *_ in said] == sorted(done for done, *_ in said)

    by_name = {r["name"]: r for r in records}
    queries = {name: [e["queries"] for e in r["epochs"]] for name, r in by_name.items()}
    assert queries["dense"] == [256, 256]
    assert queries["blocks 0.25"] == [64, 64]
    assert queries["importance:error cosine:1.0:0.25"] == [256, 64]
    for record in records:
        assert record["nrmse"] == record["epochs"][-1]["valid_nrmse"] < 2
    batch = {name: r["batch_bytes"] for name, r in by_name.items()}
    read = {name: r["read_bytes"] for name, r in by_name.items()}
    # Weights come with importance only; queries on the whole grid share their coordinates.
    weights = 2 * 64 * 4 / 2
    mean = (batch["dense"] + batch["blocks 0.25"]) / 2
    assert batch["importance:error cosine:1.0:0.25"] == pytest.approx(mean + weights, abs=4)
    assert read["blocks 0.25"] < read["dense"]

    files = {run.out: (Path(run.out) / RUN).read_bytes() for run in configs.values()}
    said.clear()
    assert compare(configs, progress=lambda *now: said.append(now)) == records
    assert [name for *_, name in said] == [""]
    assert {out: (Path(out) / RUN).read_bytes() for out in files} == files

    other = configs_of(config, [f"data.root={root}", "training.lr=1.0e-3"], chosen, [0], tmp_path)
    with pytest.raises(UpsDataError, match="made with training.lr=0.005, the configuration has 0.001"):
        compare(other)

    # Killed between its last checkpoint and its record: only that is written.
    (Path(configs[chosen[0], 0].out) / RUN).unlink()
    assert compare(configs) == records


def test_a_run_that_is_stopped_leaves_no_record(root: Path, config: Path, tmp_path: Path) -> None:
    variant = Variant("uniform", "0.25")
    run = configs_of(config, [f"data.root={root}"], [variant], [0], tmp_path)[variant, 0]
    asked: list[int] = []
    train_and_record(run.model_dump(mode="json"), "u", 0, 1, lambda: bool(asked.append(0)) or len(asked) > 9)
    assert not (Path(run.out) / RUN).exists()
    assert (Path(run.out) / "checkpoint.pt").exists()
    train_and_record(run.model_dump(mode="json"), "u", 0, 1, lambda: False)
    assert json.loads((Path(run.out) / RUN).read_text())["epochs"][-1]["epoch"] == 1


def test_a_run_that_fails_says_why(root: Path, config: Path, tmp_path: Path) -> None:
    """In one line, of the process that it was in."""
    variant = Variant("uniform", "1")
    configs = configs_of(config, [f"data.root={root}", "training.device=cuda:99"], [variant], [0], tmp_path)
    with pytest.raises(UpsDataError, match="cuda:99"):
        compare(configs)


def test_without_validation_there_is_nothing_to_compare(config: Path, tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": np.zeros((6, 16, 16, 1), np.float32)}, split="train")
    with pytest.raises(UpsDataError, match="no samples in the validation split"):
        configs_of(config, [f"data.root={tmp_path / 'd'}"], variants([], []), [0], tmp_path / "out")


def record(name: str, seed: int, queries: list[int], errors: list[float]) -> dict[str, Any]:
    """Ten steps an epoch, batches of two."""
    epochs = [{"queries": q, "steps": 10, "valid_nrmse": e} for q, e in zip(queries, errors, strict=True)]
    sizes = {"batch_bytes": 2000.0, "read_bytes": 1000.0}
    config = {"data": {"batch_size": 2}}
    return {"name": name, "seed": seed, "nrmse": errors[-1], "epochs": epochs, "config": config, **sizes}


RECORDS = [
    record("dense", 0, [100, 100], [0.5, 0.2]),
    record("dense", 1, [100, 100], [0.7, 0.4]),
    record("dense, 1 epoch", 0, [100], [0.45]),
    record("uniform 0.1", 0, [10, 10], [0.6, 0.3]),
    record("uniform 0.1", 1, [10, 10], [0.6, 0.4]),
    record("blocks 0.5", 0, [50, 50], [0.4, 0.3]),
    record("uniform step:1:0.1", 0, [100, 10], [0.5, 0.3]),
]


COSTS = {
    "dense": {100: StepCost(0.4, 4e6)},
    "dense, 1 epoch": {100: StepCost(0.4, 4e6)},
    "uniform 0.1": {10: StepCost(0.1, 1e6)},
    "blocks 0.5": {50: StepCost(0.3, 3e6)},
    "uniform step:1:0.1": {100: StepCost(0.4, 4e6), 10: StepCost(0.1, 1e6)},
}


def test_costs_are_measured_once(root: Path, config: Path, tmp_path: Path) -> None:
    """For every way and number of queries, and again where one is missing."""
    chosen = [Variant("uniform", "1"), Variant("importance:error", "cosine:1.0:0.25")]
    configs = configs_of(config, [f"data.root={root}"], chosen, [0, 1], tmp_path)
    said: list[tuple[int, int]] = []
    found = costs_of(configs, tmp_path / "costs.json", rounds=4, progress=lambda *now: said.append(now))
    assert {name: list(of) for name, of in found.items()} == {
        "dense": [256],
        "importance:error cosine:1.0:0.25": [256, 64],
    }
    assert all(0 < cost.seconds < 5 and 0 <= cost.bytes < 1e9 for of in found.values() for cost in of.values())
    assert said[-1] == (4, 4)
    said.clear()
    assert costs_of(configs, tmp_path / "costs.json", rounds=4, progress=lambda *now: said.append(now)) == found
    assert not said
    more = configs | configs_of(config, [f"data.root={root}"], [Variant("blocks", "0.5")], [0], tmp_path)
    assert set(costs_of(more, tmp_path / "costs.json", rounds=1)) == {*found, "blocks 0.5"}


def test_the_rows_by_hand() -> None:
    found = {row.name: row for row in rows(RECORDS, COSTS)}
    uniform, dense = found["uniform 0.1"], found["dense"]
    assert (uniform.nrmse, uniform.of_dense) == (pytest.approx(0.35), pytest.approx(0.35 / 0.3))
    assert uniform.spread == pytest.approx(0.1 / 2**0.5)
    assert uniform.step_ms == pytest.approx(100)
    assert uniform.points == 2 * 10 * 2 * 10
    assert (uniform.memory_mb, found["uniform step:1:0.1"].memory_mb) == (pytest.approx(1), pytest.approx(4))
    # 20 steps of 0.1 s: the full dense run is first looked at after 4 s, at 0.6; the short one then has 0.45.
    assert uniform.dense_by_then == pytest.approx(0.45)
    # 20 steps of 0.3 s: dense training is looked at again after 8 s.
    assert found["blocks 0.5"].dense_by_then == dense.nrmse == pytest.approx(0.3)
    assert found["uniform step:1:0.1"].step_ms == pytest.approx(250)
    lines = markdown(list(found.values())).splitlines()
    assert len(lines) == 2 + len(found)
    assert all(line.count("|") == len(HEADER) + 1 for line in lines)
    assert "| 0.3500 ± 0.0707 | 1.17 | 0.4500 | 100.0 |" in lines[4]


def test_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each ratio, dense training in all of them; small enough for a page."""
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    plot_comparison(RECORDS, COSTS, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size < 150_000
    panels = np.array(drawn[0].axes).reshape(3, 3)
    assert [row[0].get_title(loc="left") for row in panels] == ["ratio 0.1", "ratio 0.5", "ratio step 1 0.1"]
    labels = [[line.get_label() for line in ax.get_lines()] for ax in panels.ravel()]
    assert labels == [["dense", "dense, 1 epoch", mode] for mode in ("uniform", "blocks", "uniform") for _ in range(3)]
    steps, seconds, points = (panels[0, i].get_lines()[2].get_xdata()[-1] for i in range(3))
    assert (steps, seconds, points) == (20, pytest.approx(2.0), 400)
    assert panels[0, 0].get_lines()[2].get_ydata()[-1] == pytest.approx(0.35)
