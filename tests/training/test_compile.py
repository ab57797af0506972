"""`training.compile`: the same losses, few compilations however the numbers of points change, one line without a
compiler."""

import ctypes
import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs import QUIET, config, lines
from ups_data.errors import UpsDataError
from ups_data.training import train
from ups_data.training.compiled import told_if_not_compiled


def test_without_a_compiler_it_is_one_line_and_nothing_is_written(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-one")
    with pytest.raises(UpsDataError, match=r"needs a C\+\+ compiler, and there is no no-such-one: install") as told:
        train(config(waves, tmp_path / "run", compile=True), console=QUIET)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_what_a_killed_compilation_left_is_named(tmp_path: Path) -> None:
    from torch._inductor.exc import InductorError

    library = tmp_path / "main.so"
    library.write_bytes(b"\x7fELF")
    told = pytest.raises(UpsDataError, match="main.so: file too short.*a process was killed there: remove that folder")
    with told, told_if_not_compiled():
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            raise InductorError(error, inspect.currentframe()) from error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("waves", {"data": {"drop_last": False}}),
        ("waves", {"query_sampling_schedule": "linear", "loss_weights": {"inverse_decoding": 0.1}}),
        ("clouds", {"data": {"ragged": "pad", "batch_size": 1}}),
        ("clouds", {"data": {"ragged": "pad"}, "query_sampling_mode": "importance", "importance_metric": "error"}),
        (
            "several",
            {"data": {"batch_size": 1, "horizon": 0, "ragged": "pad"}, "query_sampling_mode": "importance"}
            | {"importance_metric": "error"},
        ),
    ],
    ids=["a grid, the last batch smaller", "a grid, fewer points in each epoch", "clouds", "errors fed back", "sets"],
)
def test_the_same_losses_and_few_compilations(
    request: pytest.FixtureRequest, tmp_path: Path, data: str, options: dict[str, Any]
) -> None:
    from torch import _dynamo
    from torch._dynamo.utils import counters

    root = request.getfixturevalue(data)
    found, graphs = {}, []
    for compiled in (False, True):
        _dynamo.reset()
        counters.clear()
        settings: dict[str, Any] = {"epochs": 6, "query_sample_ratio": 0.3, "compile": compiled, **options}
        small = config(root, tmp_path / str(compiled), **settings)
        small = small.model_copy(update={"model": small.model.model_copy(update={"dim": 16, "tokens": 4})})
        train(small, console=QUIET, on_step=lambda _: graphs.append(counters["stats"]["unique_graphs"]))
        found[compiled] = [line["loss"] for line in lines(tmp_path / str(compiled)) if "loss" in line]
    assert len(found[True]) == len(found[False]) >= 6
    for of_one, of_other in zip(found[True], found[False], strict=True):
        assert of_one == pytest.approx(of_other, rel=1e-4)
    steps = graphs[len(found[False]) :]
    assert graphs[: len(found[False])] == [0] * len(found[False])
    assert 1 <= steps[-1] <= 4
    assert steps[-1] == steps[len(steps) // 2]  # all batches of the last epochs run what was compiled before
