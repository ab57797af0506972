"""The examples run as they are, and do what they say."""

import re
import runpy
from pathlib import Path

import pytest

from tests import warm
from ups_data.schema import Manifest

STREAM = "stream_from_object_store.py"
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments, cwd):
    environment = {"PATH": "", "PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"}
    done = warm.run([EXAMPLES / name, *arguments], cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_shards_are_written_trained_on_and_handed_on(tmp_path):
    run("write_shards.py", cwd=tmp_path)
    manifest = Manifest.load(tmp_path / "data/waves")
    assert {name: s.num_trajectories for name, s in manifest.splits.items()} == {"train": 12, "valid": 4}
    assert manifest.field("height").units == "m"
    lines = run("training_loop.py", cwd=tmp_path).splitlines()
    figures = [re.findall(r"\d+\.\d+", line) for line in lines if line.startswith("epoch")]
    errors, persistence = [float(f[1]) for f in figures], float(figures[0][2])
    assert len(errors) == 4
    assert errors[-1] < errors[0]
    assert errors[-1] < 0.5 * persistence
    assert lines[-1].startswith("384 samples; waited ")
    card, page, netcdf, well = run("share_a_dataset.py", "data/waves", "shared", cwd=tmp_path).splitlines()
    assert card == "card: card/height.png, README.md"
    assert (tmp_path / "shared" / page.split()[1]).read_text().startswith("<!doctype html>")
    assert netcdf == "netcdf: 16 trajectories in 16 files"
    assert well == "the_well: 16 trajectories in 3 files"


def test_a_series_is_split_by_time_and_grows(tmp_path):
    lines = run("splits_and_appending.py", tmp_path, cwd=tmp_path).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "train 2 of 300 frames, valid 2 of 56 frames",
        "train 3 of 450 frames, valid 3 of 84 frames",
        "train 4 of 600 frames, valid 4 of 112 frames",
        f"8 runs, in {tmp_path / 'splits.json'}",
    ]


def test_a_run_is_evaluated_and_predicts(tmp_path):
    run("write_shards.py", cwd=tmp_path)
    lines = run("evaluate_and_predict.py", cwd=tmp_path).splitlines()
    steps = [list(map(float, re.findall(r"\d+\.\d+", line))) for line in lines if line.startswith("step")]
    assert len(steps) == 4
    assert all(model < persistence for model, persistence in steps)
    assert lines[4] == "predicted: 4 runs on 64 × 64 points"
    assert Manifest.load(tmp_path / "runs/waves/predicted").grid.shape == (64, 64)
    assert lines[5].startswith("operator: nRMSE ")
    assert len(list((tmp_path / "data/waves/latents").iterdir())) == 1


def test_blocks_of_a_cloud_read_less(tmp_path):
    lines = run("cloud_in_blocks.py", tmp_path / "cloud", cwd=tmp_path).splitlines()
    read = {mode: float(kilobytes) for mode, kilobytes, *_ in map(str.split, lines)}
    assert read["blocks"] < 0.1 * read["stratified"]


def test_the_second_epoch_comes_out_of_the_cache(tmp_path):
    *epochs, last = run("cached_store.py", tmp_path, cwd=tmp_path).splitlines()
    hits = [int(line.split()[2]) for line in epochs]
    assert hits[0] < hits[1] <= hits[2]
    assert int(last.split()[0]) > 0


@pytest.mark.slow
def test_a_conversion_on_dask(tmp_path):
    pytest.importorskip("distributed")
    *_, last = run("convert_on_dask.py", tmp_path / "d", cwd=tmp_path).splitlines()
    assert last.endswith("files, equal")


def test_only_the_blocks_that_are_drawn_come_over_the_network(tmp_path):
    *batches, last = run(STREAM, tmp_path, cwd=tmp_path).splitlines()
    assert len(batches) == 4
    requests, fetched, whole = map(int, re.findall(r"\d+", last))
    assert fetched < whole
    assert requests > 4


def test_airfoils_from_meshes_to_lift(tmp_path):
    """Few shapes and steps: that the lift comes near the exact one takes longer."""
    pytest.importorskip("vtk")
    lines = run("airfoils.py", tmp_path / "a", "10", "4", cwd=tmp_path).splitlines()
    loss = [float(found[1]) for line in lines if (found := re.search(r"prediction (\d\.\d+)", line))]
    assert len(loss) == 4
    assert loss[-1] < 0.9 * loss[0]
    lifts = [line for line in lines if line.startswith("lift ")]
    assert len(lifts) == 1


def test_a_run_chooses_how_many_points(tmp_path):
    run("write_shards.py", cwd=tmp_path)
    lines = run("how_many_points.py", cwd=tmp_path).splitlines()
    found = {line.split(":")[0]: float(line.split()[2]) for line in lines if line.endswith("within a sample")}
    assert set(found) == {f"{mode} {ratio}" for mode in ("uniform", "stratified") for ratio in ("0.05", "0.2")}
    assert found["stratified 0.05"] < found["uniform 0.05"]
    assert lines[-2].startswith("advice: ")
    assert re.match(r"auto: ratio (0\.\d+|1) from epoch 1 on, nRMSE \d", lines[-1])


def test_an_obstacle_is_not_learnt(tmp_path):
    """In this process: starting another one takes longer than the training."""
    main = runpy.run_path(str(EXAMPLES / "masked_obstacle.py"))["main"]
    model, persistence = main(tmp_path, runs=5, epochs=4)
    assert model < persistence


def test_there_is_no_example_without_a_test():
    tested = {"write_shards.py", "training_loop.py", "cloud_in_blocks.py", "airfoils.py", "cached_store.py"}
    tested |= {"share_a_dataset.py", "mean_over_the_domain.py", "splits_and_appending.py"}
    assert {p.name for p in EXAMPLES.glob("*.py")} == tested | {
        "evaluate_and_predict.py",
        "convert_on_dask.py",
        "how_many_points.py",
        "masked_obstacle.py",
        "stream_from_object_store.py",
    }


def test_means_over_the_domain(tmp_path):
    first, *modes = run("mean_over_the_domain.py", tmp_path / "graded", cwd=tmp_path).splitlines()
    over_points, over_domain = map(float, re.findall(r"\d\.\d+", first))
    assert over_domain - over_points > 0.2
    spread = {}
    for line in modes:
        mean, spread[line.split(":")[0]] = map(float, re.findall(r"\d\.\d+", line))
        assert abs(mean - over_domain) < 4 * spread[line.split(":")[0]] / 400**0.5 + 1e-3
    assert spread["importance by volume"] < 0.7 * spread["uniform"]
