"""Ways of choosing points at equal time: lengths of runs, tuning, the time to dense training's error."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sampling import comparison_budget, grid_table
from benchmarks.sampling.budget_plot import joined, plot_lengths
from benchmarks.sampling.compare_sampling import numbers
from benchmarks.sampling.comparison import Variant
from benchmarks.sampling.comparison_auto import Lengths, check_named, seconds_taken, to_time
from benchmarks.sampling.comparison_budget import (
    Budget,
    Trial,
    as_json,
    kept_costs,
    read_step_seconds,
    with_batch_sizes,
)
from benchmarks.sampling.comparison_table import markdown
from benchmarks.sampling.comparison_times import StepCost
from tests.benchmarks.test_comparison import CONFIG
from tests.training.conftest import travelling_waves
from ups_data import ShardWriter, UpsDataError

DENSE, FEW = Variant("uniform", "1"), Variant("stratified", "0.1")
COSTS = {"dense": {256: StepCost(0.02, 1e6)}, "stratified 0.1": {26: StepCost(0.005, 1e6)}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 training samples, so four steps an epoch."""
    import numpy as np

    root, rng = tmp_path_factory.mktemp("data") / "waves", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for i in range(4):
            writer.add({"u": travelling_waves(rng, 6, (16, 16))}, split="train" if i < 3 else "valid")
    return root


@pytest.fixture
def budget(root: Path, tmp_path: Path) -> Budget:
    path = tmp_path / "compare.yaml"
    path.write_text(CONFIG)
    return Budget(path, [f"data.root={root}"], [DENSE, FEW], [0, 1], 0.4, tmp_path / "out", COSTS, rates=[1, 2])


def test_each_way_gets_the_steps_that_fit(budget: Budget) -> None:
    dense, few = (budget._config(Trial(v, 2.0, 0.4), 1, budget._steps(v, 0.4)).training for v in (DENSE, FEW))
    assert (dense.max_steps, few.max_steps) == (20, 80)
    assert dense.epochs * 3 >= 20 > (dense.epochs - 1) * 3  # three batches of four an epoch
    assert few.lr == pytest.approx(2 * 5e-3)
    assert (dense.validate_every, dense.seed) == (dense.epochs, 1)
    assert budget._steps(FEW, 0.1) == 20


def errors_of(trial: Trial, seed: int) -> float:
    """Dense training is best at rate 1 with 0.2, the other at rate 2; shorter runs are worse."""
    best = {"dense": (1.0, 0.2), "stratified 0.1": (2.0, 0.08)}[trial.variant.name]
    return best[1] * (1.0 if trial.rate == best[0] else 3.0) * (0.4 / trial.seconds) ** 0.6 + 0.01 * seed


def test_rates_are_tuned_on_the_first_seed_and_runs_get_shorter(budget: Budget, monkeypatch: Any) -> None:
    ran: list[tuple[str, float, float, int]] = []

    def compare(configs: dict[tuple[Trial, int], Any], **options: Any) -> list[dict[str, float]]:
        ran.extend((trial.variant.name, trial.rate, trial.seconds, seed) for trial, seed in configs)
        return [{"nrmse": errors_of(*key)} for key in configs]

    monkeypatch.setattr(comparison_budget, "compare", compare)
    dense, few = budget.rows(to_dense=True)
    assert (dense.rate, few.rate) == (1.0, 2.0)
    assert (dense.steps, few.steps) == (20, 80)
    assert dense.nrmse == pytest.approx(0.205)
    assert few.of_dense == pytest.approx(0.085 / 0.205)
    # 0.08 · 4^0.6 = 0.184 in a quarter of the time, and 0.279 in an eighth: more than 0.2.
    assert (dense.to_dense, few.to_dense) == (1.0, 0.25)
    assert {key for key in ran if key[3] == 1} == {
        ("dense", 1.0, 0.4, 1),
        *(("stratified 0.1", 2.0, 0.4 * part, 1) for part in (1, 1 / 2, 1 / 4, 1 / 8)),
    }
    assert as_json([few])[0]["to_dense"] == 0.25
    assert markdown([dense, few], comparison_budget.HEADER).count("\n") == 4


def test_curves_of_every_way(budget: Budget, tmp_path: Path, monkeypatch: Any) -> None:
    """Shorter runs of the first seed, at the best rate, as long as they have ten steps; and what is drawn of them."""
    monkeypatch.setattr(
        comparison_budget, "compare", lambda configs, **options: [{"nrmse": errors_of(*key)} for key in configs]
    )
    dense, few = budget.rows(curves=True)
    assert list(dense.curve) == [0.2, 0.4]  # a quarter has five steps
    assert list(few.curve) == [0.05, 0.1, 0.2, 0.4]
    assert few.curve[0.1] == pytest.approx(errors_of(Trial(FEW, 2.0, 0.1), 0))
    assert few.curve[0.4] == few.nrmse == pytest.approx(sum(few.errors) / 2)
    table = tmp_path / "waves" / "budget.json"
    table.parent.mkdir()
    table.write_text(json.dumps({"seconds": 0.4, "rows": as_json([dense, few])}))
    other = tmp_path / "waves_long" / "budget.json"
    other.parent.mkdir()
    other.write_text(table.read_text().replace('"0.4": ', '"1.6": '))
    plot_lengths([table, other], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    of_both = joined(*(json.loads(path.read_text())["rows"] for path in (table, other)))
    assert [row["name"] for row in of_both] == ["dense", "stratified 0.1"]
    assert list(of_both[1]["curve"]) == ["0.05", "0.1", "0.2", "0.4", "1.6"]


def test_runs_that_choose_their_ratios_are_made_as_long_as_the_budget(
    root: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """A tenth of the points in the first two thirds of the steps, a fifth in the last."""
    (tmp_path / "compare.yaml").write_text(CONFIG)
    auto = Variant("stratified", "auto", batch_size=2)
    ways = to_time([DENSE, auto])
    assert [way.ratio for way in ways] == ["1", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    costs = {way.name: {0: StepCost(0.02 * float(way.ratio) + 0.002, 1e6)} for way in ways}
    ran: list[int] = []

    def compare(configs: dict[tuple[Trial, int], Any], **options: Any) -> list[dict[str, Any]]:
        found = []
        for (trial, _), config in configs.items():
            steps = config.training.max_steps
            if trial.variant.is_auto:
                ran.append(steps)
                assert config.training.query_sample_ratio == "auto"
                assert str(steps) in config.out
            epochs = [{"epoch": 0, "steps": 2 * steps / 3}, {"epoch": 1, "steps": steps / 3}]
            points = [
                {"epoch": 0, "ratio": 0.1, "mode": "stratified"},
                {"epoch": 1, "ratio": 0.15, "mode": "stratified"},
            ]
            found.append({"nrmse": 0.1, "epochs": epochs, "points": points})
        return found

    monkeypatch.setattr(comparison_budget, "compare", compare)
    made = Budget(
        tmp_path / "compare.yaml", [f"data.root={root}"], [DENSE, auto], [0], 0.44, tmp_path, costs, rates=[1]
    )
    _, row = made.rows()
    # 4 ms a step, guessed; it takes 2/3 · 4 + 1/3 · 5 ms.
    assert ran == [110, int(110 * 0.96 * 0.44 / (110 * 0.013 / 3))]
    assert row.steps == ran[-1]
    assert 0.9 * 0.44 <= row.steps * 0.013 / 3 <= 0.44


def test_lengths_until_one_fits() -> None:
    """The longest that fits, where choices change so much that none comes near; if there is none, it is said."""
    length = Lengths(100, 1.0)
    assert length.fits(0.95)
    assert length.steps == 100

    length = Lengths(100, 1.0)
    for taken, following in ((2.0, 48), (0.8, 57), (1.2, 45)):
        assert not length.fits(taken)
        assert length.steps == following
    assert length.fits(0.75)
    assert length.steps == 48

    length = Lengths(4, 0.245)  # 50 ms a step: a fifth one does not fit
    assert length.fits(0.2)

    length = Lengths(100, 1.0)
    with pytest.raises(UpsDataError, match="no length that was tried fits into 1 s"):
        for taken in (2.0, 0.5, 1.5, 0.6):
            length.fits(taken)


@pytest.mark.parametrize(
    ("way", "budget", "says"),
    [
        (Variant("stratified", "auto"), None, "give --budget SECONDS too"),
        (Variant("uniform", "auto"), 2.0, "chooses the mode too"),
        (Variant("random", "auto", batch_size=2), 2.0, "chooses the mode too"),
    ],
)
def test_auto_where_it_cannot_be_compared(way: Variant, budget: float | None, says: str) -> None:
    with pytest.raises(UpsDataError, match=says):
        check_named([DENSE, way], budget)


def test_what_auto_does_not_go_with_is_refused_before_steps_are_timed(
    root: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "compare.yaml").write_text(CONFIG)
    monkeypatch.setattr(comparison_budget, "step_costs", lambda *a, **k: pytest.fail("timed"))
    ways = [DENSE, Variant("importance:error", "auto")]
    with pytest.raises(UpsDataError, match="importance_metric=error"):
        kept_costs(tmp_path / "compare.yaml", [f"data.root={root}"], ways, tmp_path / "out", rounds=1)


def test_a_mode_that_was_not_timed() -> None:
    record = {"epochs": [{"epoch": 0, "steps": 3}], "points": [{"epoch": 0, "ratio": 0.1, "mode": "blocks"}]}
    with pytest.raises(UpsDataError, match="chose the mode blocks"):
        seconds_taken(Variant("stratified", "auto"), record, {"stratified 0.1": 1.0})


@pytest.mark.slow
def test_real_runs_that_are_kept(budget: Budget, root: Path) -> None:
    """Twice: the second time nothing is run."""
    budget.seeds, budget.rates, budget.seconds = [0], [1.0], 0.2
    first = budget.rows()
    assert [row.steps for row in first] == [10, 40]
    said: list[str] = []
    budget.progress = lambda done, total, running: said.append(running)
    assert budget.rows() == first
    assert set(said) == {""}


def test_costs_once_measured_are_kept(root: Path, tmp_path: Path) -> None:
    """Lengths of runs follow from them."""
    path = tmp_path / "compare.yaml"
    path.write_text(CONFIG)
    given = path, [f"data.root={root}"]
    found = kept_costs(*given, [FEW], tmp_path, rounds=2)
    both = [*with_batch_sizes([FEW], [1]), FEW]
    more = kept_costs(*given, both, tmp_path, rounds=2)
    assert set(more) == {"stratified 0.1", "stratified 0.1, batch 1"}
    assert more["stratified 0.1"] == found["stratified 0.1"]
    assert set(json.loads((tmp_path / "costs.json").read_text())) == set(more)


def test_costs_that_are_given(budget: Budget, root: Path, tmp_path: Path) -> None:
    """Nothing is timed, so that others get the same numbers of steps."""
    (tmp_path / "seconds.json").write_text('{"dense": 0.02, "stratified 0.1": 0.005}')
    given = read_step_seconds(tmp_path / "seconds.json")
    costs = kept_costs(budget.config, budget.overrides, [DENSE, FEW], tmp_path / "out", rounds=1, given=given)
    made = Budget(budget.config, budget.overrides, [DENSE, FEW], [0], 0.4, tmp_path / "out", costs)
    assert [made._steps(v, 0.4) for v in (DENSE, FEW)] == [20, 80]
    (tmp_path / "seconds.json").write_text('{"dense": "soon"}')
    with pytest.raises(UpsDataError, match="seconds of a step, by way"):
        read_step_seconds(tmp_path / "seconds.json")


def test_a_budget_of_less_than_ten_steps(budget: Budget) -> None:
    with pytest.raises(UpsDataError, match=r"dense takes 0\.02 s a step.*give at least 0\.2") as error:
        Budget(budget.config, [], [DENSE, FEW], [0], 0.1, budget.out, COSTS)
    assert "\n" not in str(error.value)
    with pytest.raises(UpsDataError, match="numbers above 0"):
        numbers("1,-2", "--rates")


def test_errors_by_batch_size_and_ratio() -> None:
    names = {"dense": 0.3, "stratified 0.1": 0.2, "stratified 0.02, batch 8": 0.1, "stratified 0.1, batch 8": 0.15}
    names |= {"dense, batch 8": 0.05}
    found = grid_table.markdown([{"name": name, "nrmse": error} for name, error in names.items()], 4)
    assert found.splitlines() == [
        "| batch | ratio 0.02 | ratio 0.1 |",
        "| --- | --- | --- |",
        "| 4 | – | 0.2000 |",
        "| 8 | **0.1000** | 0.1500 |",
    ]
