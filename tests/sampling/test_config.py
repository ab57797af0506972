"""`QuerySampling`: how many queries, and one clear line for every mistake."""

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from tests.sampling.cases import CASES, DOMAINS, grid, keys
from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, as_sampling, draw_queries


def test_default_is_every_point() -> None:
    assert QuerySampling().count(100, epoch=0) == 100
    assert QuerySampling().ratio_at(3) == 1.0


@pytest.mark.parametrize(
    ("options", "num_points", "queries"),
    [
        ({"ratio": 0.1}, 16384, 1638),
        ({"ratio": 0.1}, 5, 1),  # at least one
        ({"ratio": 1e-9}, 1000, 1),
        ({"ratio": 1.0, "query_multiple": 64}, 1000, 1000),  # ratio 1 is exactly N
        ({"ratio": 1}, 7, 7),
        ({"num_queries": 40}, 1000, 40),
        ({"num_queries": 40}, 40, 40),
        ({"num_queries": 40, "mode": "full"}, 1000, 1000),
        ({"ratio": 0.1, "mode": "full"}, 1000, 1000),
        ({"ratio": 0.1, "query_multiple": 64}, 16384, 1664),  # nearest: 1638 = 25.6 × 64
        ({"ratio": 0.1, "query_multiple": 128}, 16384, 1664),  # 12.8 × 128
        ({"ratio": 0.1, "query_multiple": 100}, 16000, 1600),
        ({"num_queries": 3, "query_multiple": 16}, 1000, 16),  # at least one multiple
        ({"num_queries": 101, "query_multiple": 8}, 102, 96),  # never above N
        ({"num_queries": 3, "query_multiple": 16}, 10, 10),  # N is below the multiple
    ],
)
def test_count(options: dict, num_points: int, queries: int) -> None:
    assert QuerySampling(**options).count(num_points, epoch=0) == queries


@pytest.mark.parametrize(("name", "mode"), sorted({(name, mode) for name, mode, _ in CASES}))
@pytest.mark.parametrize("ratio", [0.02, 0.1, 0.5, 0.77, 1.0])
def test_num_drawn_is_what_is_drawn(mode: str, name: str, ratio: float) -> None:
    domain = DOMAINS[name]
    sampling = QuerySampling(ratio=ratio, mode=mode)
    draw = draw_queries(sampling, domain, keys(3), epoch=0)
    assert draw.index.shape == (3, sampling.num_drawn(domain, epoch=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0}, "ratio is 0: give a number above 0 and at most 1"),
        ({"ratio": -0.1}, "ratio is -0.1: give a number above 0"),
        ({"ratio": 1.5}, "ratio is 1.5: give a number above 0 and at most 1"),
        ({"ratio": float("nan")}, "ratio is nan: input should be a finite number"),
        ({"ratio": "many"}, "ratio is 'many': input should be a valid number"),
        ({"ratio": 0.1, "num_queries": 5}, "ratio=0.1 and num_queries=5 are both given: leave one out"),
        ({"num_queries": 0}, "num_queries is 0: give at least 1"),
        ({"num_queries": 2.5}, "num_queries is 2.5: input should be a valid integer"),
        ({"query_multiple": 0}, "query_multiple is 0: give at least 1"),
        ({"mode": "stratifed"}, "mode 'stratifed' is not known: did you mean 'stratified'\\?"),
        ({"mode": "rand"}, "mode 'rand' is not known: did you mean 'random'\\?"),
        ({"mode": "xyz"}, "mode 'xyz' is not known: Give one of full, uniform, stratified, lattice"),
        ({"schedule": "cosin"}, "schedule 'cosin' is not known: did you mean 'cosine'\\?"),
        ({"schedule": "linear"}, "schedule 'linear' needs start_ratio and end_ratio and end_epoch: give them"),
        ({"schedule": "cosine", "start_ratio": 1.0, "end_ratio": 0.2}, "schedule 'cosine' needs end_epoch: give it"),
        ({"schedule": "linear", "start_ratio": 1.0, "end_epoch": 3}, "schedule 'linear' needs end_ratio: give it"),
        ({"schedule": "linear", "start_ratio": 0.0, "end_ratio": 0.2, "end_epoch": 3}, "start_ratio is 0: give"),
        ({"schedule": "linear", "start_ratio": 1.0, "end_ratio": 1.2, "end_epoch": 3}, "end_ratio is 1.2: give"),
        (
            {"schedule": "linear", "start_ratio": 1.0, "end_ratio": 0.2, "start_epoch": 5, "end_epoch": 3},
            "end_epoch 3 is before start_epoch 5",
        ),
        (
            {"schedule": "linear", "start_ratio": 1.0, "end_ratio": 0.2, "end_epoch": 3, "ratio": 0.1},
            "ratio and schedule 'linear' are both given: leave ratio out",
        ),
        ({"start_ratio": 1.0}, "start_ratio has no effect on a constant schedule: set schedule to linear, cosine"),
        ({"schedule": "step", "start_ratio": 1.0, "end_ratio": 0.2, "end_epoch": 3, "jumps": 0}, "jumps is 0: give at"),
        ({"schedule_unit": "steps"}, "schedule_unit 'steps' is not known: did you mean 'step'\\?"),
        ({"importance_metric": "grad"}, "importance_metric 'grad' is not known: did you mean 'gradient'\\?"),
        ({"order": "rand"}, "order 'rand' is not known: did you mean 'random'\\?"),
        ({"importance_floor": 0}, "importance_floor is 0: give a number above 0 and at most 1"),
        ({"off_grid": True, "mode": "lattice"}, "off_grid takes points off the grid that mode 'lattice' promises"),
        ({"off_grid": True, "mode_schedule": {3: "lattice"}}, "off_grid takes points off the grid"),
        ({"off_grid": True, "mode": "blocks"}, "off_grid needs every point's neighbours, mode 'blocks' reads none"),
        ({"mode": {}}, "mode is empty"),
        ({"mode": {"uniform": 0.5, "stratifed": 0.5}}, "mode 'stratifed' is not known: did you mean 'stratified'\\?"),
        (
            {"mode": {"uniform": 0.5, "lattice": 0.5}},
            "mode 'lattice' cannot be part of a mixture: mix importance, stra",
        ),
        ({"mode": {"uniform": 0.5, "stratified": 0.4}}, "the shares of mode's mixture add up to 0.9: make them add up"),
        ({"mode": {"uniform": 1.5, "stratified": -0.5}}, "mode 'uniform' has share 1.5 of a mixture: give a number"),
        ({"mode": {"uniform": True}}, "mode 'uniform' has share True of a mixture"),
        ({"mode": ["uniform", "stratified"]}, r"mode is \['uniform', 'stratified'\]: give a mapping, or pairs"),
        ({"mode": 3}, "mode 3 is not known"),
        ({"mode_schedule": "importance"}, "mode_schedule is 'importance': give first epochs and modes"),
        ({"mode_schedule": {-1: "uniform"}}, "mode_schedule has epoch -1: give whole numbers from 0 on"),
        ({"mode_schedule": {1.5: "uniform"}}, "mode_schedule has epoch 1.5: give whole numbers from 0 on"),
        ({"mode_schedule": {5: "unifrm"}}, "mode 'unifrm' is not known: did you mean 'uniform'\\?"),
        ({"rato": 0.1}, "option 'rato' is not known: did you mean 'ratio'\\?"),
        ({"zzz": 0.1}, "option 'zzz' is not known: options are ratio, num_queries"),
    ],
)
def test_mistakes_are_told_in_one_line(options: dict, message: str) -> None:
    with pytest.raises(UpsDataError, match=f"^QuerySampling: {message}") as caught:
        QuerySampling(**options)
    assert "\n" not in str(caught.value)


def test_more_queries_than_points() -> None:
    with pytest.raises(UpsDataError, match="num_queries is 101 but the frame has 100 points: give at most 100"):
        QuerySampling(num_queries=101).count(100, epoch=0)


def test_lattice_on_points() -> None:
    with pytest.raises(UpsDataError, match=r"'lattice' needs a grid.*use mode 'stratified'"):
        draw_queries(QuerySampling(ratio=0.1, mode="lattice"), DOMAINS["cloud 2d"], keys(1), epoch=0)


def test_stratified_without_coordinates() -> None:
    with pytest.raises(UpsDataError, match="neither a grid shape nor coordinates"):
        draw_queries(QuerySampling(ratio=0.1, mode="stratified"), Domain(100), keys(1), epoch=0)


def test_ratio_of_a_number_of_queries() -> None:
    with pytest.raises(UpsDataError, match="call count"):
        QuerySampling(num_queries=10).ratio_at(0)


def test_random_is_uniform() -> None:
    assert QuerySampling(mode="random") == QuerySampling(mode="uniform")


ALL_OPTIONS = {
    "a ramp": {"schedule": "linear", "start_ratio": 1.0, "end_ratio": 0.2, "end_epoch": 3, "mode": "stratified"},
    "modes": {
        "ratio": 0.1,
        "mode": {"stratified": 0.7, "importance": 0.3},
        "mode_schedule": {20: "importance", 4: {"uniform": 0.25, "stratified": 0.75}},
        "importance_metric": "error",
    },
}


@pytest.mark.parametrize("options", ALL_OPTIONS.values(), ids=ALL_OPTIONS)
def test_survives_pickle_json_and_a_larger_model(options: dict) -> None:
    sampling = QuerySampling(**options)
    assert pickle.loads(pickle.dumps(sampling)) == sampling
    assert QuerySampling.model_validate_json(sampling.model_dump_json()) == sampling
    assert hash(QuerySampling(**sampling.model_dump())) == hash(sampling)

    class Training(BaseModel):
        sampling: QuerySampling

    assert Training(sampling={"ratio": 0.3}).sampling == QuerySampling(ratio=0.3)
    with pytest.raises(ValidationError, match="ratio is 3: give a number above 0 and at most 1"):
        Training(sampling={"ratio": 3})


def test_new_options_are_not_part_of_old_states() -> None:
    """What is as by default is left out of a loader's state, so states from before an option stay valid."""
    assert QuerySampling(ratio=0.1).model_dump(exclude_defaults=True) == {"ratio": 0.1}
    given = QuerySampling(ratio=0.1, order="random", shared=True).model_dump(exclude_defaults=True)
    assert given == {"ratio": 0.1, "order": "random", "shared": True}


def test_a_lattice_of_a_sampling_comes_row_by_row() -> None:
    lattice = QuerySampling(ratio=0.25, mode="stratified", order="random", off_grid=True).as_lattice()
    assert draw_queries(lattice, grid(8, 8), keys(1), 0).grid_shape == (4, 4)


@pytest.mark.parametrize(("value", "sampling"), [(0.1, QuerySampling(ratio=0.1)), (1, QuerySampling(ratio=1.0))])
def test_a_number_is_a_ratio(value: float, sampling: QuerySampling) -> None:
    assert as_sampling(value) == sampling
    assert as_sampling(sampling) is sampling


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1000, r"sampling=1000 is a ratio above 1: .* give QuerySampling\(num_queries=1000\)"),
        (1.5, "QuerySampling: ratio is 1.5: give a number above 0 and at most 1"),
        (0, "QuerySampling: ratio is 0: give a number above 0"),
        (float("inf"), "QuerySampling: ratio is inf"),
        (True, "sampling is True: give a QuerySampling, or a number, which is its ratio"),
        ("0.1", "sampling is '0.1': give a QuerySampling, or a number"),
    ],
)
def test_what_is_no_sampling(value: object, message: str) -> None:
    with pytest.raises(UpsDataError, match=f"^{message}"):
        as_sampling(value)


def test_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        QuerySampling(ratio=0.1).ratio = 0.2


def test_pickled_domain_draws_the_same() -> None:
    domain, sampling = grid(17, 10), QuerySampling(ratio=0.2, mode="stratified")
    copy = pickle.loads(pickle.dumps(domain))
    assert (draw_queries(sampling, copy, keys(4), 0).index == draw_queries(sampling, domain, keys(4), 0).index).all()


def test_mixtures_that_say_the_same_are_equal() -> None:
    one = QuerySampling(mode={"stratified": 0.7, "importance": 0.3})
    assert one == QuerySampling(mode={"importance": 0.3, "stratified": 0.7})
    assert one == QuerySampling(mode=[("stratified", 0.7), ("importance", 0.3)])
    assert QuerySampling(mode={"random": 1}) == QuerySampling(mode="uniform")
    assert one.uses_importance(0)
    assert not QuerySampling(mode={"stratified": 0.7, "uniform": 0.3}).uses_importance(0)


def test_modes_change_at_their_epochs() -> None:
    chosen = QuerySampling(
        ratio=0.1, mode_schedule={20: "importance", 5: {"uniform": 0.5, "stratified": 0.5}, 9: "full"}
    )
    mixture = (("stratified", 0.5), ("uniform", 0.5))
    assert [chosen.mode_at(e) for e in (0, 4.9, 5, 8, 9, 19, 20, 99)] == [
        "uniform",
        "uniform",
        mixture,
        mixture,
        "full",
        "full",
        "importance",
        "importance",
    ]
    assert [chosen.count(100, e) for e in (8, 9, 19, 20)] == [10, 100, 100, 10]
    assert [chosen.uses_importance(e) for e in (0, 8, 20)] == [False, False, True]
    assert QuerySampling(mode_schedule={0: "stratified"}).mode_at(0) == "stratified"
    assert QuerySampling(mode_schedule={"3": "stratified"}).mode_at(3) == "stratified"  # as JSON and YAML may have it


def test_as_lattice() -> None:
    chosen = QuerySampling(ratio=0.25, mode_schedule={3: "importance"}, off_grid=True).as_lattice()
    assert chosen == QuerySampling(ratio=0.25, mode="lattice")


def test_metric_is_asked_for_where_some_mode_looks_at_it() -> None:
    assert QuerySampling(ratio=0.1, importance_metric="error").metric is None
    assert QuerySampling(ratio=0.1, mode="importance", importance_metric="error").metric == "error"
    assert QuerySampling(ratio=0.1, mode={"uniform": 0.5, "importance": 0.5}).metric == "gradient"
    late = QuerySampling(
        ratio=0.1, mode_schedule={9: {"uniform": 0.5, "importance": 0.5}}, importance_metric="variance"
    )
    assert (late.metric, late.uses_importance(8), late.uses_importance(9)) == ("variance", False, True)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("importance_window", 0, "importance_window is 0: give at least 1"),
        ("importance_decay", 1.0, "importance_decay is 1: give a number from 0 and below 1"),
        ("importance_decay", -0.1, "importance_decay is -0.1: give a number from 0 and below 1"),
    ],
)
def test_feedback_out_of_range(option: str, value: float, message: str) -> None:
    with pytest.raises(UpsDataError, match=message):
        QuerySampling(ratio=0.1, **{option: value})
