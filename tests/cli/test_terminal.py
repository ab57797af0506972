"""Tables fit the terminal: no header and no number is cut, broken, or pushed over the edge."""

import io
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from benchmarks.loader.bench_report import table_of
from benchmarks.loader.bench_verify import Rates
from benchmarks.loader.bench_verify import table_of as verify_table_of
from tests.cli.programs import invoke, printed
from tests.datasets import edit_manifest
from ups_data import ShardWriter
from ups_data.cli.main import COMMANDS, app
from ups_data.cli.tables.sheet import Sheet
from ups_data.cli.tables.training import comparison, summary
from ups_data.training.runs.result import TrainResult

WIDTHS = [80, 60]
NUMBER = -1.2345678e-05
LONG = "a_quantity_with_a_long_name_of_its_own"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Long names, wide numbers, two splits, blocks."""
    root = tmp_path_factory.mktemp("terminal") / "dataset"
    rng = np.random.default_rng(0)
    with ShardWriter(root, blocks=4) as writer:
        for split in ("train", "a-split-of-ones-own"):
            for _ in range(3):
                field = rng.normal(NUMBER, 1e-7, (3, 16, 16, 2)).astype(np.float32)
                writer.add({LONG: field, "u": field * 1e25}, split=split)
    edit_manifest(root, lambda m: m["fields"][0].update(units="kg m-1 s-2 of something that is long to say"))
    return root


def check(text, width):
    """Nothing is cut, nothing is wider than the terminal."""
    assert "…" not in text
    assert "..." not in text
    for line in text.splitlines():
        assert cell_len(line) <= width, line


def words(text):
    return set(re.split(r"[\s│┃]+", text))


@pytest.mark.parametrize("width", WIDTHS)
def test_inspect(root, width):
    text = printed("inspect", root, columns=width)
    check(text, width)
    assert words("split shards trajectories frames channels field stored mean std min max NaN/Inf") <= words(text)
    assert words("-1.23e-05 -1.23e+20 float32") <= words(text)
    assert "a-split-of-ones-own" in re.sub(r"[\s│┃]", "", text) or "a-split-of-ones-own" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_bench(root, width):
    text = printed("bench", root, "--seconds", 0.1, columns=width)
    check(text, width)
    assert {"samples/s", "batches/s", "wait", "fetch", "decode", "draw", "assemble", "read/sample"} <= words(text)


@pytest.mark.parametrize("width", WIDTHS)
def test_verify(root, width, tmp_path):
    shutil.copytree(root, tmp_path / "d")
    for shard in (tmp_path / "d").glob("*/*.zarr"):
        (shard / LONG).write_text("")
    done = invoke("verify", tmp_path / "d", columns=width)
    assert done.exit_code == 1
    check(done.stdout, width)
    assert done.stdout.strip().startswith("2 damaged shard(s)")
    assert LONG in re.sub(r"[\s│]", "", done.stdout)


@pytest.mark.parametrize("width", WIDTHS)
def test_suggestions_and_weights(width, tmp_path):
    np.savez(tmp_path / "f.npz", u=np.ones((1, 3, 512, 512, 1), np.float32))
    text = printed("convert", tmp_path / "f.npz", "--suggest", columns=width)
    check(text.split("suggested:")[0], width)
    assert words("--blocks points frames per chunk kB drawn read/used 262,144") <= words(text)
    np.savez(tmp_path / "f.npz", u=np.ones((1, 3, 16, 16, 1), np.float32))
    text = printed("convert", tmp_path / "f.npz", "--weigh", "4", "--split", "train=1", columns=width)
    check(text, width)
    assert words("codec --blocks MB of whole frames lz4 zstd 1.000") <= words(text)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", [c.__name__ for c in COMMANDS])
def test_help(command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    printed = io.StringIO()
    with redirect_stdout(printed):  # the test runner's terminal always has 80 columns
        app([command.replace("_", "-"), "--help"], standalone_mode=False)
    check(printed.getvalue().replace("overrides]...", "").replace("overrides...", ""), width)


def figures(rate):
    return {
        "samples_per_second": {"median": rate},
        "share_of_limit": 0.123,
        "this_loader_ratio": 1234.56,
        "bytes_read_per_sample": 4.72e9,
        "bytes_used_per_sample": 4.19e9,
        "memory_bytes": {"peak": 12.3e9},
        "first_batch_seconds": 12.34,
        "shares_of_time": dict.fromkeys(("fetch", "decode", "assemble", "wait"), 0.25),
        "decoded_chunks_per_epoch": 123456,
        "stored_chunks": 123456,
    }


def shown(sheet, width):
    console = Console(width=width)
    with console.capture() as captured:
        console.print(sheet)
    return captured.get()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_benchmarks_tables(width):
    systems = {name: figures(1234567) for name in ("limit", "ups_data", "in blocks", "webdataset", "zarr chunks")}
    text = shown(table_of("grid3d: 96 frames of 262,144 points × 4 channels, 5,243 queries", systems), width)
    check(text, width)
    assert words("system samples/s of limit ours is × kB read used MB first s 1,234,567 4,720,000 12.34") <= words(text)
    assert "webdataset" in text
    rates = {mode: Rates([123456.0] * 3, [1234567.0] * 3) for mode in ("never", "first", "always")}
    text = shown(verify_table_of("lz4", rates), width)
    check(text, width)
    assert words("verify first epoch slower by later epochs 123,456 1,234,567") <= words(text)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_training_reached(width):
    result = TrainResult(Path("run"), untrained_nrmse=1.0, persistence_nrmse=0.5, valid_nrmse=0.1)
    text = shown(summary(result), width)
    check(text, width)
    assert words("untrained persistence trained nRMSE 0.5000") <= words(text)
    epochs = [{"queries": 1234567, "step_seconds_median": 0.1}]
    history = {"epochs": epochs, "peak_memory_mb": 12345.0}
    history |= {f"{name}_nrmse": 0.25 for name in ("untrained", "persistence", "valid")}
    text = shown(comparison({"dense": history, "10 %": history}), width)
    check(text, width)
    assert words("dense 1,234,567 12345 persistence 0.2500") <= words(text)


@pytest.mark.parametrize("width", [200, 40, 30, 20])
def test_every_cell_of_a_sheet_is_there(width):
    """With a frame, without, and row by row."""
    headers = ("name", "a number", "another number", "the last one")
    sheet = Sheet(*headers, title="a title", text=("name",))
    rows = [("one", "123,456", "-1.23e-05", "0.5"), ("two", "7", "8", "9")]
    for row in rows:
        sheet.add_row(*row)
        sheet.add_section()
    text = shown(sheet, width)
    check(text, width)
    assert words(" ".join(headers)) <= words(text)
    assert {cell for row in rows for cell in row} <= words(text)
    assert ("┏" in text) == (width >= 40)
    assert (text.count("another number") == 2) == (width == 20)


def test_a_row_has_a_cell_for_each_header():
    with pytest.raises(ValueError, match="2 cells for 1 headers"):
        Sheet("one").add_row(1, 2)
