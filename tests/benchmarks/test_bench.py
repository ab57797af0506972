"""`bench_loader.py` runs on tiny sizes and reports every figure; nothing here is about speed."""

import json
import math

import numpy as np
import pytest

from benchmarks.loader import bench_workloads
from tests.cli.test_tools import ok, refused
from tests.datasets import write_grid

FIGURES = {
    "samples_per_second",
    "share_of_limit",
    "this_loader_ratio",
    "bytes_read_per_sample",
    "bytes_used_per_sample",
    "memory_bytes",
    "first_batch_seconds",
}
GRID = {"limit", "ups_data", "memmap", "webdataset", "zarr"}
CLOUDS = {"limit", "ups_data", "memmap", "zarr chunks"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def bench(cache, *options):
    """The report, and what was printed."""
    out = ok("bench_loader.py", *options, "--small", "--rounds", 2, "--cache", cache, "--json", cache / "out.json")
    return json.loads((cache / "out.json").read_text()), out


def numbers(value):
    """Every number in nested dicts and lists."""
    if isinstance(value, dict | list):
        return [n for v in (value.values() if isinstance(value, dict) else value) for n in numbers(v)]
    return [value]


def check(report, name, systems):
    """Every figure of every system is there, finite and positive; returns this loader's."""
    table = report["workloads"][name]["systems"]
    assert set(table) == systems
    for system, figures in table.items():
        assert set(figures) >= FIGURES, system
        measured = numbers({k: figures[k] for k in FIGURES})
        assert all(math.isfinite(n) and n > 0 for n in measured), (system, figures)
        rate, memory = figures["samples_per_second"], figures["memory_bytes"]
        assert rate["min"] <= rate["median"] <= rate["max"]
        assert len(rate["rounds"]) == 2
        assert memory["peak"] <= memory["peak_resident"]
    assert table["limit"]["share_of_limit"] == table["ups_data"]["this_loader_ratio"] == 1
    ours = table["ups_data"]
    assert set(ours["shares_of_time"]) == {"fetch", "decode", "assemble", "wait"}
    assert all(math.isfinite(s) and s >= 0 for s in ours["shares_of_time"].values())
    assert ours["shares_of_time"]["wait"] > 0
    return ours


@pytest.mark.parametrize(
    ("workload", "codec", "systems"),
    # Systems on grids and their figures are in the default run with blocks, below.
    [pytest.param("grid2d", "lz4", GRID, marks=pytest.mark.slow), ("points", "zstd", CLOUDS)],
)
def test_every_workload_reports_every_figure(cache, workload, codec, systems):
    report, out = bench(cache, "--workload", workload, "--codec", codec)
    ours = check(report, workload, systems)
    decoded, stored = ours["decoded_chunks_per_epoch"], ours["stored_chunks"]
    assert (0 < decoded < stored) if workload == "points" else decoded == (0 if codec == "none" else stored)
    assert all(name in out for name in systems)
    assert {"date", "cpu", "cores", "memory_bytes", "torch", "numpy", "zarr"} <= set(report["machine"])
    assert not list(cache.rglob(".*")), "something was left half made"


def test_blocks_are_measured_beside_whole_frames(cache):
    report, _ = bench(cache, "--workload", "grid3d", "--blocks", 8)
    check(report, "grid3d", GRID | {"in blocks"})
    systems = report["workloads"]["grid3d"]["systems"]
    whole = 1728 * 16  # a dense frame, and 35 points of each of four frames
    read = systems["in blocks"]["bytes_read_per_sample"]
    assert whole < read < systems["ups_data"]["bytes_read_per_sample"]


def test_ratios(cache):
    out = ok("bench_ratios.py", "--small", "--rounds", 1, "--ratios", "0.5,0.1", "--cache", cache)
    assert [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")] == ["1", "512", "102"]


def test_a_dataset_of_the_users_own(cache, tmp_path):
    runs = write_grid(tmp_path / "d", codec="zstd")
    report, _ = bench(cache, "--data", tmp_path / "d")
    (name,) = report["workloads"]
    check(report, name, {"limit", "ups_data", "zarr"})
    assert report["workloads"][name]["codec"] == "zstd"
    (frames,) = cache.glob("data-*/frames.npy")
    np.testing.assert_array_equal(np.load(frames), np.concatenate(runs).reshape(-1, 120, 2))


def test_bad_options(tmp_path):
    assert "grid2d, grid3d, points, all" in refused("bench_loader.py", "--workload", "grid4d", "--cache", tmp_path)
    assert "none, lz4, zstd" in refused("bench_loader.py", "--codec", "gzip", "--cache", tmp_path)
    assert "no dataset here" in refused("bench_loader.py", "--data", tmp_path / "nowhere", "--cache", tmp_path)


def test_fields_are_smooth_and_the_same_every_time():
    one, two = (bench_workloads.smooth_frames(np.random.default_rng(0), 3, (32, 32), 2) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (3, 32, 32, 2)
    assert one.dtype == np.float32
    assert one.std() == pytest.approx(1, rel=1e-3)
    assert np.diff(one, axis=1).std() < 0.5  # neighbours are alike, and so are consecutive steps
    assert np.diff(one, axis=0).std() < 0.5


def test_pages_that_drawn_points_touch():
    assert bench_workloads.touched_bytes(100, 5, 4) == 400  # less than a page
    assert bench_workloads.touched_bytes(10**6, 1, 16) == pytest.approx(4096)
    assert bench_workloads.touched_bytes(10**4, 10**4, 16) == pytest.approx(160_000)
    drawn = np.random.default_rng(0).choice(1 << 20, 16384, replace=False)
    pages = len(np.unique(drawn * 28 // 4096))
    assert bench_workloads.touched_bytes(1 << 20, 16384, 28) == pytest.approx(pages * 4096, rel=0.02)
