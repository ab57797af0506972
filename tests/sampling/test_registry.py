"""Modes as records: which are known, how others are registered, and that nobody else asks for a mode's name."""

import ast
import pickle
import subprocess
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import ups_data
from tests import warm
from tests.sampling.cases import cloud, grid, keys
from ups_data.errors import UpsDataError
from ups_data.sampling import Draw, Mode, QuerySampling, Request, draw_queries, register_mode, registry
from ups_data.sampling.mode import Preferred
from ups_data.sampling.modes.uniform import UNIFORM, draw_uniform

PACKAGE = Path(ups_data.__file__).parent


@pytest.fixture(autouse=True)
def modes(monkeypatch) -> dict[str, Mode]:
    """The registry, as it was before the test."""
    known = dict(registry._known)
    monkeypatch.setattr(registry, "_known", known)
    return known


def first_points(request: Request) -> Draw:
    return Draw(np.broadcast_to(np.arange(request.count), (len(request.keys), request.count)))


def test_a_registered_mode_is_drawn_with() -> None:
    register_mode(Mode("first", first_points, aliases=("head",)))
    sampling = QuerySampling(num_queries=3, mode="head")
    assert sampling.mode == "first"
    assert draw_queries(sampling, grid(10), keys(2), 0).index.tolist() == [[0, 1, 2], [0, 1, 2]]
    scheduled = QuerySampling(num_queries=3, mode_schedule={2: "first"})
    assert [scheduled.mode_at(e) for e in (0, 2)] == ["uniform", "first"]
    assert draw_queries(scheduled, grid(10), keys(1), 2).index.tolist() == [[0, 1, 2]]
    # Every point is every point, whatever the mode.
    assert draw_queries(QuerySampling(ratio=1.0, mode="first"), grid(2, 3), keys(1), 0).grid_shape == (2, 3)


def test_messages_list_what_is_registered() -> None:
    register_mode(Mode("first", first_points, aliases=("head",), equal_places=UNIFORM.equal_places))
    with pytest.raises(UpsDataError, match="'fist' is not known: did you mean 'first'.*lattice, blocks, importance, f"):
        QuerySampling(mode="fist")
    with pytest.raises(UpsDataError, match="mode 'haed' is not known: did you mean 'head'"):
        QuerySampling(mode="haed")
    with pytest.raises(UpsDataError, match="'blocks' cannot be part of a mixture: mix importance, first, stratified,"):
        QuerySampling(mode={"blocks": 0.5, "uniform": 0.5})


def test_a_registered_mode_mixes() -> None:
    """It takes part by its own function, in the order of names behind the modes that prefer some points."""
    drawn = []

    def places(keys: np.ndarray, count: int, total: int) -> np.ndarray:
        drawn.append((count, total))
        return UNIFORM.equal_places(keys, count, total)

    register_mode(Mode("first", first_points, equal_places=places))
    mixture = {"uniform": 0.5, "first": 0.3, "importance": 0.2}
    sampling = QuerySampling(num_queries=50, mode=mixture)
    assert [name for name, _ in sampling.mode] == ["importance", "first", "uniform"]
    index = draw_queries(sampling, grid(10, 10), keys(20), 0, np.ones((20, 4))).index
    assert drawn == [(15, 90)]
    assert (np.diff(np.sort(index), axis=1) > 0).all()


def test_one_mode_of_a_mixture_prefers_points_at_most() -> None:
    def preferred(request: Request) -> Preferred:
        raise AssertionError

    register_mode(Mode("peaks", first_points, preferred_places=preferred))
    with pytest.raises(UpsDataError, match="modes importance and peaks of a mixture prefer some points"):
        QuerySampling(mode={"peaks": 0.5, "importance": 0.5})


def test_what_a_mode_needs() -> None:
    register_mode(Mode("gridded", first_points, needs_grid=True, forms_lattice=True))
    register_mode(Mode("stored", first_points, needs_blocks=True, reads_part_of_blocks=True))
    register_mode(Mode("choosy", first_points, needs_importance=True))
    with pytest.raises(UpsDataError, match="mode 'gridded' needs a grid, and this domain is a set of points"):
        draw_queries(QuerySampling(num_queries=3, mode="gridded"), cloud(10, 2), keys(1), 0)
    with pytest.raises(UpsDataError, match="mode 'stored' needs a dataset that is stored in blocks"):
        draw_queries(QuerySampling(num_queries=3, mode="stored"), grid(10), keys(1), 0)
    with pytest.raises(UpsDataError, match="mode 'choosy' needs the tiles' importance 'variance'"):
        draw_queries(QuerySampling(num_queries=3, mode="choosy", importance_metric="variance"), grid(10), keys(1), 0)
    assert QuerySampling(mode="choosy").metric == "gradient"
    for mode in ("gridded", "stored"):
        with pytest.raises(UpsDataError, match=f"off_grid .* mode '{mode}'"):
            QuerySampling(mode=mode, off_grid=True)


def test_another_number_of_points_than_wished_for() -> None:
    def even(request: Request) -> Draw:
        return draw_uniform(request.domain, request.keys, request.count // 2 * 2)

    register_mode(Mode("even", even, num_drawn=lambda domain, count: count // 2 * 2))
    sampling = QuerySampling(num_queries=7, mode="even")
    assert sampling.num_drawn(grid(20), 0) == draw_queries(sampling, grid(20), keys(2), 0).index.shape[1] == 6


@pytest.mark.parametrize("name", ["uniform", "random", "first", "head"])
def test_names_that_are_taken(name: str) -> None:
    register_mode(Mode("first", first_points, aliases=("head",)))
    with pytest.raises(UpsDataError, match=f"mode '{name}' is that of .* already: give elsewhere's another name"):
        register_mode(Mode(name, first_points, module="elsewhere"))


def test_a_module_may_be_imported_again(modes) -> None:
    register_mode(Mode("first", first_points))
    again = register_mode(Mode("first", first_points, needs_grid=True))
    assert modes["first"] is again


def test_modes_of_installed_packages(monkeypatch) -> None:
    """They are looked up by entry points, and only if a name is not known."""
    asked = []

    def installed(*, group: str) -> list[EntryPoint]:
        asked.append(group)
        value = "tests.sampling.installed_mode"
        return [
            EntryPoint("evens", f"{value}:EVENS", group),
            EntryPoint("thirds", value, group),
            EntryPoint("broken", f"{value}:NOT_THERE", group),
        ]

    monkeypatch.setattr(registry, "entry_points", installed)
    QuerySampling(mode="stratified")
    assert asked == []
    drawn = draw_queries(QuerySampling(num_queries=3, mode="evens"), grid(10), keys(1), 0)
    assert drawn.index.tolist() == [[0, 2, 4]]
    assert asked == ["ups_data.modes"]
    QuerySampling(mode="thirds")  # a module whose import registers it
    with pytest.raises(UpsDataError, match="QuerySampling: mode 'broken' of an installed package .* cannot be loaded"):
        QuerySampling(mode="broken")
    with pytest.raises(UpsDataError, match="did you mean 'thirds'"):
        QuerySampling(mode="third")


def test_another_process_imports_the_module_that_registers_a_mode(tmp_path) -> None:
    (tmp_path / "corner.py").write_text(
        "import numpy as np\n"
        "from ups_data.sampling import Draw, Mode, register_mode\n"
        "def draw(r):\n"
        "    return Draw(np.broadcast_to(np.arange(r.count), (len(r.keys), r.count)))\n"
        "register_mode(Mode('corner', draw))\n"
    )
    make = (
        "import sys, pickle, corner; from ups_data import QuerySampling; "
        "s = QuerySampling(num_queries=2, mode={}); pickle.dump(s, open(sys.argv[1], 'wb'))"
    )
    use = "import sys, pickle; s = pickle.load(open(sys.argv[1], 'rb')); print(s.record_at(5).name)"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{PACKAGE.parent}"}

    def run(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return warm.run(["-c", code, tmp_path / "pickled"], env=environment | changes)

    run(make.format("'uniform', mode_schedule={5: 'corner'}"))
    assert run(use).stdout == "corner\n"
    lost = run(use, PYTHONPATH=str(PACKAGE.parent))
    assert "module 'corner', which registers a sampling mode, cannot be imported here" in lost.stderr


def test_a_mode_that_this_process_does_not_know() -> None:
    sampling = QuerySampling(num_queries=1).model_copy(update={"mode": "gone"})
    with pytest.raises(UpsDataError, match="mode 'gone' is not known in this process: call register_mode where"):
        sampling.record_at(0)


def test_modes_of_this_package_are_pickled_without_modules() -> None:
    assert QuerySampling(mode={"uniform": 0.5, "stratified": 0.5}).__getstate__()["modules"] == []
    assert pickle.loads(pickle.dumps(QuerySampling(mode="blocks"))) == QuerySampling(mode="blocks")


def test_no_name_of_a_mode_is_compared() -> None:
    """Who asks for a name would not know a registered mode that does the same."""
    names = set(registry.BUILT_IN)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                compared = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                # Columns of a draw, groups of a shard and options of a conversion have such names too.
                asked = names if "mode" in ast.unparse(node) else names - {"blocks", "importance"}
                assert not asked & compared, f"{path.relative_to(PACKAGE)}:{node.lineno}"
