"""Sinks: what they get, and what they keep of runs that are stopped and go on."""

import csv
import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.training.runs import QUIET, config, lines
from ups_data import UpsDataError
from ups_data.training import CsvSink, scalars, train
from ups_data.training.sinks.console import epoch_line


def kinds(calls: list[tuple[int, dict[str, Any]]]) -> dict[str, list[int]]:
    """Which steps each kind of values came at."""
    found = defaultdict(list)
    for step, values in calls:
        found[next(k for k in ("untrained_nrmse", "loss", "valid_nrmse", "summary") if k in values)].append(step)
    return dict(found)


def test_a_sink_gets_every_number_of_a_run(waves: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, dict[str, Any]]] = []
    result = train(
        config(waves, tmp_path, validate_every=2), sinks=[lambda s, v: calls.append((s, dict(v)))], console=QUIET
    )
    steps = list(range(1, 15))
    assert kinds(calls) == {"untrained_nrmse": [0], "loss": steps, "valid_nrmse": [14], "summary": [7, 14]}
    assert calls[0][1]["persistence_nrmse"] == result.persistence_nrmse
    assert [values["summary"] for _, values in calls if "summary" in values] == result.epochs
    # What the file has are the same values, but for times.
    logged = [
        {k: v for k, v in values.items() if k not in ("seconds", "machine")}
        for _, values in calls
        if {"loss", "valid_nrmse"} & {*values}
    ]
    assert lines(tmp_path) == logged
    assert all(set(values["seconds"]) == {"data", "compute"} for _, values in calls if "loss" in values)
    machine = {"wait_share", "memory_mb", "read_mb", "fetched_mb"}
    assert all(set(values["machine"]) == machine for _, values in calls if "loss" in values)


def table(path: Path) -> dict[tuple[int, str], float]:
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header == ["step", "name", "value"]
    found = {(int(step), name): float(value) for step, name, value in rows}
    assert len(found) == len(rows), "a number stands there twice"
    return {key: value for key, value in found.items() if "seconds" not in key[1] and "machine" not in key[1]}


def test_a_table_of_a_run_that_was_killed_is_that_of_an_undisturbed_one(waves: Path, tmp_path: Path) -> None:
    settings = {"epochs": 3, "checkpoint_every": 2}
    with CsvSink(tmp_path / "whole.csv") as sink:
        train(config(waves, tmp_path / "whole", **settings), sinks=[sink], console=QUIET)
    for limit in (4, 9, 5, 100):
        left = iter(range(limit))

        def kill(record: Any, left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        try:
            with CsvSink(tmp_path / "killed.csv") as sink:
                train(config(waves, tmp_path / "killed", **settings), sinks=[sink], on_step=kill, console=QUIET)
        except KeyboardInterrupt:
            continue
    assert table(tmp_path / "killed.csv") == table(tmp_path / "whole.csv")
    assert table(tmp_path / "whole.csv")[21, "loss/total"] == lines(tmp_path / "whole")[-2]["loss"]["total"]


def test_names_with_commas_stay_whole(tmp_path: Path) -> None:
    for _ in range(2):
        with CsvSink(tmp_path / "t.csv") as sink:
            sink(3, {"loss": {'a,"b"': 0.5, "c": 1}})
    with CsvSink(tmp_path / "t.csv") as sink:
        sink(3, {"valid_nrmse": 0.25})
    assert table(tmp_path / "t.csv") == {(3, 'loss/a,"b"'): 0.5, (3, "loss/c"): 1.0, (3, "valid_nrmse"): 0.25}


def test_another_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UpsDataError, match="is not a table of step, name, value"):
        CsvSink(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "x,y\n1,2\n"


def test_scalars_are_the_numbers_with_their_paths() -> None:
    values = {"epoch": 3, "loss": {"total": 0.5, "of": {"u": 1}}, "persistence_nrmse": None, "names": ["u"]}
    assert list(scalars(values)) == [("epoch", 3.0), ("loss/total", 0.5), ("loss/of/u", 1.0)]


def test_foreign_names_are_text_on_the_console(waves: Path, tmp_path: Path) -> None:
    """Neither markup nor escape sequences: a loss's name and the folder's come from elsewhere."""
    from tests.models.mine import Pointwise

    class Odd(Pointwise):
        def losses(self, batch: Any, context: Any) -> dict[str, Any]:
            return {"[/bold]\x1b[2J": super().losses(batch, context)["mine"]}

    out = io.StringIO()
    folder = tmp_path / "[red]run[/nothing]"
    c = config(waves, folder, epochs=1)
    train(c, model=Odd("u", 3.0, 1.5), console=Console(file=out, width=200, force_terminal=True, color_system=None))
    left = iter(range(4))
    train(
        config(waves, folder, epochs=1, resume=False),
        model=Odd("u", 3.0, 1.5),
        console=Console(file=out, width=200),
        stop=lambda: next(left, None) is None,
    )
    train(c, model=Odd("u", 3.0, 1.5), console=Console(file=out, width=500))
    text = out.getvalue()
    assert r"([/bold]\x1b[2J 0." in text or r"([/bold]\x1b[2J 1." in text
    assert "\x1b[2J" not in text.replace(r"\x1b[2J", "")
    assert f"from {folder}/checkpoint.pt" in text


def test_an_epoch_s_line() -> None:
    entry = {
        "epoch": 0, "queries": 26, "ratio": 0.1016, "loss": {"total": 0.5, "prediction": 0.4}, "valid_nrmse": None,
        "seconds": 1.25, "step_seconds_median": 0.011, "data_seconds": 0.02,
    }  # fmt: skip
    assert epoch_line(entry, 2) == (
        "epoch 1/2 · Q 26 (0.102) · loss 0.5 (prediction 0.4) · 1.2 s (11 ms a step, waited 0.02 s for data)"
    )
