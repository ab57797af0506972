"""Arguments of commands that nobody means: what is asked for, or one line with status 2."""

from typing import Any

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.tryer import Tryer

HUGE = [str(2**63), str(-(2**63) - 1), str(10**400), "1e400", "nan", "-inf", "0.5x", "", "\x1b[1m"]
# command and option, and values beside HUGE
OPTIONS: dict[tuple[str, str], list[str]] = {
    ("convert", "--seed"): ["0.5", "-1"],
    ("convert", "--blocks"): ["0", "1000000000"],
    ("convert", "--shard-mb"): ["0", "-5"],
    ("convert", "--codec"): ["gzip", "../x"],
    ("convert", "--cast"): ["float128", "__import__('os')"],
    ("convert", "--split"): ["train=nan", "train", "=1", "train=1,train=0", "../x=1", "a/b=1", "x=1e999"],
    ("convert", "--format"): ["../x", "os"],
    ("convert", "--workers"): ["0", "-1"],
    ("convert", "--timeout"): ["0", "-1"],
    ("convert", "--max-expansion"): ["-1", "0"],
    ("convert", "--variables"): [",", "../x"],
    ("convert", "--rename"): ["=", "data=../x", "data=a\nb", "data"],
    ("convert", "--importance"): ["x", ","],
    ("convert", "--weigh"): ["0", "-1", "a"],
    ("convert", "--ratio"): ["0", "2"],
    ("inspect", "--number"): ["-1", "100"],
    ("inspect", "--ratio"): ["0", "2"],
    ("inspect", "--mode"): ["x"],
    ("inspect", "--split"): ["../x", "x"],
    ("verify", "--quick"): ["x"],
    ("verify", "--threads"): ["0"],
    ("bench", "--batch-size"): ["0"],
    ("bench", "--ratio"): ["0", "2"],
    ("bench", "--horizon"): ["-1", "100"],
    ("bench", "--threads"): ["-1"],
    ("bench", "--split"): ["../x"],
    ("bench", "--seconds"): ["0"],
    ("importance", "--metrics"): ["../x", ","],
}
# Command → what it imports late, from where somebody without rights may not read.
LATE = {
    "train": ["torch._dynamo", "torch.optim", "webdataset", "encodings.unicode_escape"],
    "inspect": ["ups_data.cli.pictures", "matplotlib.backends.backend_agg", "webdataset", "encodings.unicode_escape"],
}
SPARSE = 41


def cases() -> list[Any]:
    every = [(*key, value) for key, more in OPTIONS.items() for value in (*HUGE, *more)]
    marks = {False: [], True: [pytest.mark.faults]}
    return [pytest.param(*c, marks=marks[n % SPARSE != 0], id=repr(c)[:60]) for n, c in enumerate(every)]


@pytest.mark.parametrize(("command", "option", "value"), cases())
def test_an_option(tryer: Tryer, around: Around, command: str, option: str, value: str) -> None:
    if command == "convert":
        np.save(around.given / "u.npy", np.ones((2, 3, 8, 8, 1), np.float32))
        arguments = [around.given / "u.npy", "--out", around.out, f"{option}={value}"]
    else:
        write_grid(around.given / "d", steps=(5, 4))
        arguments = [around.given / "d", f"{option}={value}"]
        arguments += ["--plot", around.folder / "out.png"] if command == "inspect" else []
        arguments += ["--seconds", "0.1"] if command == "bench" and option != "--seconds" else []
    around.watch()
    answer = tryer("command", command, *arguments)
    found = wrong({**answer, "digest": ""}, "")
    changes = [c for c in around.changes() if command != "importance" and "out.png" not in c]
    assert not [*found, *changes]


@pytest.mark.parametrize("place", ["missing/x.png", "given", "", "\x1b[1m/x.png", pytest.param("x" * 300)])
@pytest.mark.parametrize("command", ["plot", pytest.param("json", marks=pytest.mark.faults)])
def test_files_that_cannot_be_written(tryer: Tryer, around: Around, place: str, command: str) -> None:
    write_grid(around.given / "d", steps=(5, 4))
    around.watch()
    option = ["inspect", "--plot"] if command == "plot" else ["bench", "--seconds=0.1", "--json"]
    answer = tryer("command", option[0], around.given / "d", *option[1:], around.folder / place)
    assert not [*wrong(answer), *around.changes()]


@pytest.mark.parametrize("command", ["convert", "simulate", *(pytest.param(c, marks=pytest.mark.faults) for c in LATE)])
def test_folders_that_cannot_be_written(tryer: Tryer, around: Around, command: str) -> None:
    """By somebody without rights."""
    write_grid(around.given / "d", grid=(16, 16), steps=(5, 4))
    np.save(around.given / "u.npy", np.ones((2, 3, 8, 8, 1), np.float32))
    (around.given / "c.yaml").write_text(
        f"data: {{root: {around.given / 'd'}, batch_size: 2}}\nout: {around.others}/o\n"
    )
    for path in (around.given, *around.given.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    around.watch()
    arguments: dict[str, list[Any]] = {
        "convert": [around.given / "u.npy", "--out", around.others / "o"],
        "train": [around.given / "c.yaml"],
        "simulate": [around.others / "o.h5", "--trajectories=1", "--size=4", "--steps=2"],
        "inspect": [around.given / "d", "--plot", around.others / "x.png"],
    }
    answer = tryer("command", command, *arguments[command], nobody=True, imports=LATE.get(command, []))
    assert not [*wrong(answer), *[c for c in around.changes() if "was read" not in c]]
