"""The page `docs/add-a-mode.md`, word for word: a mode outside of the package, drawn with by a loader."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.sampling.cases import cloud, grid, keys
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling import draw_queries, registry

PAGE = Path(__file__).parents[2] / "docs" / "add-a-mode.md"
DEFINED, USED = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """The page's module, imported; forgotten afterwards."""
    monkeypatch.setattr(registry, "_known", dict(registry._known))
    (tmp_path / "wall_rows.py").write_text(DEFINED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("wall_rows")
    del sys.modules["wall_rows"]


def rows(count: int) -> QuerySampling:
    return QuerySampling(num_queries=count, mode="wall_rows")


def test_the_page_as_a_program(tmp_path) -> None:
    """Threads and worker processes make the same batches of whole rows."""
    write_grid(tmp_path / "data" / "run")
    found: dict[str, object] = {}
    exec(compile(USED, str(PAGE), "exec"), found)
    with_workers = list(found["loader"])
    options = {"split": "train", "batch_size": 4, "sampling": QuerySampling(ratio=0.2, mode="wall_rows")}
    with_threads = list(QueryLoader("data/run", threads=2, **options))
    assert len(with_workers) == len(with_threads) == 7
    for one, other in zip(with_workers, with_threads, strict=True):
        assert (one.trajectory == other.trajectory).all()
        assert (one.target_queries.index == other.target_queries.index).all()
        assert (one.target_queries.values["u"] == other.target_queries.values["u"]).all()
        drawn = one.target_queries.index.reshape(4, 2, 10)
        assert (drawn - drawn[..., :1] == np.arange(10)).all()
        assert (drawn[:, 0, 0] < 30).all()
        assert (drawn[:, 1, 0] >= 30).all()
    assert len({tuple(b.target_queries.index[0, ::10].tolist()) for b in with_threads}) > 1


def test_a_state_is_continued_with_the_same_mode_only(tmp_path) -> None:
    write_grid(tmp_path / "run")

    def loader(mode: str) -> QueryLoader:
        return QueryLoader("run", split="train", batch_size=4, sampling=QuerySampling(ratio=0.2, mode=mode))

    state = loader("wall_rows").state_dict()
    loader("wall_rows").load_state_dict(state)
    with pytest.raises(UpsDataError, match="sampling.mode was 'wall_rows' and is 'stratified'"):
        loader("stratified").load_state_dict(state)


@pytest.mark.parametrize("domain", [grid(12, 10), grid(6, 2, 5), grid(4, 30)], ids=str)
@pytest.mark.parametrize("count", [1, 30, 58])
def test_weights_are_right(domain: Domain, count: int) -> None:
    draw = draw_queries(rows(count), domain, keys(4000), 0)
    assert draw.index.shape[1] == rows(count).num_drawn(domain, 0)
    values = np.random.default_rng(0).random(domain.num_points)
    estimates = (values[draw.index] * draw.weight).mean(axis=1)
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - values.mean()) < 3.5 * error + 1e-6
    pi = np.bincount(draw.index.ravel(), minlength=domain.num_points) / 4000
    expected = np.empty(domain.num_points)
    expected[draw.index] = draw.index.shape[1] / (domain.num_points * draw.weight)
    assert pi == pytest.approx(expected, abs=0.04)
    alone = draw_queries(rows(count), domain, keys(4000)[17:18], 0)
    assert (alone.index == draw.index[17:18]).all()


def test_messages_know_it() -> None:
    with pytest.raises(UpsDataError, match="'wall_row' is not known: did you mean 'wall_rows'.*importance, wall_rows"):
        QuerySampling(mode="wall_row")
    with pytest.raises(UpsDataError, match="mode 'wall_rows' needs a grid, and this domain is a set of points"):
        draw_queries(rows(5), cloud(30, 2), keys(1), 0)
    with pytest.raises(UpsDataError, match="needs a grid of at least 4 rows, this one has 3"):
        draw_queries(rows(5), grid(3, 8), keys(1), 0)
    with pytest.raises(UpsDataError, match="mode 'wall_rows' cannot be part of a mixture"):
        QuerySampling(mode={"wall_rows": 0.5, "uniform": 0.5})
