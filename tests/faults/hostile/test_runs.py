"""Folders of runs and of datasets that somebody else has prepared, and what commands write into them."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around
from tests.training.runs import QUIET, config
from ups_data import UpsDataError
from ups_data.training import train
from ups_data.training.report import write_report
from ups_data.training.sinks import CsvSink


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "d"
    write_grid(root, grid=(6, 6), steps=(3, 3))
    return root


@pytest.mark.parametrize("name", ["pictures", "tensorboard", "wandb", "metrics.csv", "metrics.jsonl", "checkpoint.pt"])
@pytest.mark.parametrize("to", ["notes.txt", "folder", "new"])
def test_links_in_place_of_what_a_run_writes(around: Around, dataset: Path, name: str, to: str) -> None:
    """Nothing behind them is made, read or changed, whatever becomes of the run."""
    around.out.mkdir()
    (around.out / name).symlink_to(around.others / to)
    around.watch()
    given: dict[str, Any] = {"epochs": 1, "max_steps": 1, "sinks": ["csv"], "pictures": int(name == "pictures")}
    if name in ("tensorboard", "wandb"):
        pytest.importorskip(name)
        given["sinks"] = [name]
    with pytest.raises(UpsDataError, match="link|regular|checkpoint"):
        train(config(dataset, around.out, **given), console=QUIET)
        raise UpsDataError("the link was replaced, as that of a checkpoint may be")
    assert around.changes() == []


@pytest.mark.parametrize(
    "content", [b"a,b\n", b"step,name,value\n" + b"9" * 5000 + b",x,1\n", b"\xff" * 9, b'"' * 10**6]
)
def test_tables_that_are_no_tables(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(UpsDataError, match="not a table"):
        CsvSink(tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_pipes_in_place_of_tables(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.csv")
    with pytest.raises(UpsDataError, match="regular"):
        CsvSink(tmp_path / "metrics.csv")


@pytest.mark.parametrize("values", ["[1e308, -1e308]", "[5e-324, 1e-320]", "[1e16, 1.0000000000000002e16]"])
def test_a_report_of_numbers_that_no_axis_can_hold(tmp_path: Path, values: str) -> None:
    first, second = values[1:-1].split(", ")
    epochs = ", ".join(
        f'{{"epoch": {first}, "valid_nrmse": {value}, "lr": {value}, "seconds": 1, "data_seconds": {value}}}'
        for value in (first, second)
    )
    (tmp_path / "history.json").write_text(f'{{"epochs": [{epochs}]}}')
    steps = (f'{{"loss": {{"total": {v}, "a": {v}}}, "lr": {v}, "queries": {v}}}' for v in (first, second))
    (tmp_path / "metrics.jsonl").write_text("\n".join(steps))
    assert write_report(tmp_path, tmp_path / "page.html").exists()


def test_a_history_within_histories(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("[" * 10**6)
    with pytest.raises(UpsDataError, match="not a run's history"):
        write_report(tmp_path, tmp_path / "page.html")
    (tmp_path / "history.json").write_text('{"epochs": [{"epoch": 0}]}')
    (tmp_path / "metrics.jsonl").write_text("[" * 10**6)
    write_report(tmp_path, tmp_path / "page.html")
