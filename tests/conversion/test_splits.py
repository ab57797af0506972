"""Splits by time, region, parameter and file: what lies in which, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.faults.conversion_process import digests
from ups_data import QueryLoader, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.conversion.splitting.by_param import ByParam
from ups_data.conversion.splitting.by_region import ByRegion
from ups_data.conversion.splitting.by_time import ByTime
from ups_data.conversion.splitting.cutting.parts import cut
from ups_data.conversion.splitting.naming import save_split_file
from ups_data.conversion.splitting.rules import rule_of
from ups_data.schema import Manifest
from ups_data.trajectory import Axis, Trajectory

STEPS, DT = 60, 0.5


def series(number: int) -> np.ndarray:
    """An autocorrelated series (T, 6, 6, 1): each frame is nine tenths of the last one."""
    rng = np.random.default_rng(number)
    u = rng.standard_normal((STEPS, 6, 6, 1)).astype(np.float32)
    for t in range(1, STEPS):
        u[t] = 0.9 * u[t - 1] + 0.4 * u[t]
    return u


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """A group for each of three runs in HDF5, with times and a parameter."""
    import h5py

    folder = tmp_path_factory.mktemp("raw")
    for number in range(3):
        with h5py.File(folder / f"run_{number}.h5", "w") as file:
            file["tensor"] = series(number)[None, ..., 0]
            file["t-coordinate"] = DT * np.arange(STEPS)
            file["x-coordinate"] = np.linspace(0.0, 1.0, 6)
            file["y-coordinate"] = np.linspace(0.0, 2.0, 6)
            file.attrs["nu"] = 0.1 * (number + 1)
    return folder


def stored_times(root: Path, split: str) -> dict[str, np.ndarray]:
    """Run without its window → times of its frames in a split."""
    manifest, found = Manifest.load(root), {}
    for shard in manifest.split(split).shards:
        group = zarr.open_group(root / shard.path, mode="r")
        times = np.split(group["trajectories/time"][:], np.cumsum(shard.steps)[:-1])
        for source, of_run in zip(group["trajectories"].attrs["source"], times, strict=True):
            found[source] = np.concatenate([found.get(source, np.zeros(0)), of_run])
    return found


def refused(says: str, raw: Path, out: Path, rule: object) -> None:
    with pytest.raises(UpsDataError, match=says) as error:
        convert(raw, out, split=rule)
    assert "\n" not in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("order", "left_out"), [("train=..10,valid=10..20,test=20..", 5), ("train=20..,valid=10..20,test=..10", 4)]
)
def test_no_frame_of_validation_is_within_the_gap_of_training(tmp_path, raw, order, left_out):
    gap = 2.25
    convert(raw, tmp_path / "d", split=ByTime(order, gap=str(gap)))
    train, valid, test = (stored_times(tmp_path / "d", split) for split in ("train", "valid", "test"))
    assert set(train) == set(valid) == set(test) == {str(p) for p in raw.iterdir()}
    for one, other in ((train, valid), (train, test), (valid, test)):
        for run in one:
            assert np.abs(one[run][:, None] - other[run]).min() > gap
    assert sum(map(len, train.values())) == 3 * 20
    # What is within a gap is all that is left out.
    assert sum(len(t) for split in (train, valid, test) for t in split.values()) == 3 * (STEPS - 2 * left_out)


def test_frames_of_a_window_are_those_of_the_run(tmp_path, raw):
    convert(raw, tmp_path / "d", split=ByTime("train=..10,valid=12..,train=10.5..11.5"))
    assert [o.key for o in Manifest.load(tmp_path / "d").origins("train")][:2] == ["0000[0:20]", "0000[21:23]"]
    loader = QueryLoader(tmp_path / "d", split="valid", batch_size=1, sampling=1.0, input_steps=1, horizon=1)
    batch = next(iter(loader))
    assert batch.time[0] == 12.0
    np.testing.assert_array_equal(batch.inputs.fields["tensor"].reshape(6, 6), series(0)[24, ..., 0])


def test_dates_bound_whole_years_months_and_days():
    pytest.importorskip("cftime")
    dates = np.array(["2014-12-30", "2014-12-31", "2015-01-01", "2015-06-30", "2015-12-31", "2016-01-01", "2016-02-01"])
    hours = (dates.astype("datetime64[h]") - np.datetime64("2014-12-30T00", "h")).astype(float)
    u = np.zeros((7, 4, 5, 1), np.float32)
    run = Trajectory("u", "u.nc", {"u": u}, time=hours, time_units="hours", start="2014-12-30T00:00:00")

    def steps(text: str, gap: str = "") -> dict[str, int]:
        parts = ByTime(text, gap).parts(0, run)
        return {part.split: part.frames[1] - part.frames[0] for part in parts if part.frames}

    assert steps("train=..2015,valid=2016..") == {"train": 5, "valid": 2}
    assert steps("train=..2014-12,valid=2015…2015-06-30") == {"train": 2, "valid": 2}
    assert steps("train=2014-12-31T06..2015-12-31T00:00,valid=..2014-12-30") == {"train": 2, "valid": 1}
    assert steps("train=..2015,valid=2016..", "20 days") == {"train": 5, "valid": 1}
    for text, says in (
        ("train=..2015,valid=2015-12..", "overlap"),
        ("train=..2015-02-30,valid=2016..", "no date of the calendar"),
        ("train=..soon,valid=2016..", "'soon' is none"),
    ):
        with pytest.raises(UpsDataError, match=says) as error:
            steps(text)
        assert "\n" not in str(error.value)
    assert steps("train=..2015,valid=2017..") == {"train": 5}


def test_a_parameter_deals_whole_runs(tmp_path, raw):
    convert(raw, tmp_path / "d", split=ByParam("nu", "train=..0.15,valid=0.25.."))
    manifest = Manifest.load(tmp_path / "d")
    assert {name: (split.num_trajectories, split.params["nu"].mean) for name, split in manifest.splits.items()} == {
        "train": (1, pytest.approx(0.1)),
        "valid": (1, pytest.approx(0.3)),
    }
    assert [(entry.key, entry.source) for entry in manifest.left_out or ()] == [("0000", str(raw / "run_1.h5"))]
    refused("has no parameter 'Re': it has nu", raw, tmp_path / "no", ByParam("Re", "train=..1,valid=1.."))
    refused("'valid' gets nothing", raw, tmp_path / "no", ByParam("nu", "train=..1,valid=1.."))


def test_a_region_of_a_grid_is_a_cloud_of_its_points(tmp_path, raw):
    convert(raw, tmp_path / "d", split=ByRegion("train=x:..0.5,valid=x:0.5../y:1.."), cast="float32")
    coords = {}
    for split, count in (("train", 18), ("valid", 9)):
        manifest = Manifest.load(tmp_path / "d")
        assert set(manifest.points_of(split).tolist()) == {count}
        shard = zarr.open_group(tmp_path / "d" / manifest.splits[split].shards[0].path, mode="r")
        where = shard["points/coords"][0][:count]
        values = shard["fields/tensor"][5, :count, 0]
        at = np.rint(where / [0.2, 0.4]).astype(int)  # x, y, also the order of the array
        np.testing.assert_array_equal(values, series(0)[5][at[:, 0], at[:, 1], 0])
        coords[split] = where
    assert coords["train"][:, 0].max() < 0.5 <= coords["valid"][:, 0].min()
    convert(raw, tmp_path / "gap", split=ByRegion("train=x:..0.5,valid=x:0.5..", gap="0.15"))
    where = Manifest.load(tmp_path / "gap").splits["valid"].coords[""]
    assert where.min[0] == pytest.approx(0.8)


def test_a_region_of_moving_points_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", coords=rng.random((1, 3, 9, 2)).astype("f4"), p=rng.random((1, 3, 9, 1)).astype("f4"))
    refused("points of .* move", tmp_path / "a.npz", tmp_path / "no", ByRegion("train=x:..0.5,valid=x:0.5.."))


@pytest.mark.parametrize("rule", [None, ByTime("train=..10,valid=12..20,test=25..")], ids=["runs", "windows"])
def test_a_file_of_splits_gives_the_same_shards(tmp_path, raw, rule):
    first = convert(raw, tmp_path / "d", split=rule or {"train": 0.6, "valid": 0.4})
    rules = []
    for suffix in (".json", ".yaml", ".csv"):
        file = tmp_path / f"s{suffix}"
        assert save_split_file(Manifest.load(tmp_path / "d"), file) == (3 if rule is None else 9)
        rules.append(ByFile(file, raw))
    again = convert(raw, tmp_path / "e", split=rules[0])
    assert again.splits == first.splits
    shards = [{n: d for n, d in digests(tmp_path / f).items() if ".zarr/" in n} for f in "de"]
    assert shards[0] == shards[1]
    assert shards[0]
    assert rules[0].entries == rules[1].entries == rules[2].entries


def test_bad_files_of_splits(tmp_path, raw):
    def given(entries: object, says: str, suffix: str = ".json") -> None:
        file = tmp_path / f"splits{suffix}"
        file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        with pytest.raises(UpsDataError, match=says) as error:
            convert(raw, tmp_path / "no", split=ByFile(file, raw))
        assert "\n" not in str(error.value)
        assert not (tmp_path / "no").exists()

    one = {"source": "run_0.h5", "key": "0000"}
    given({"train": [one], "valid": [{"source": "run_9.h5", "key": "0000"}]}, "has no run 0000 of run_9.h5")
    given({"train": [one], "valid": [one]}, "names the run 0000 of run_0.h5 twice, in 'train' and 'valid'")
    given({"train": [one], "valid": [{**one, "key": "0000[10:20]"}]}, "names frames of 0000 .* twice")
    given({"train": [{**one, "key": "0000[50:70]"}]}, "no window of .*, which has 60 frames")
    given({"train": ["0000"]}, "the name of several runs")
    given({"train": [], "valid": [one]}, "'train' lists no runs")
    given({"../x": [one]}, "cannot name a folder")
    given({"train": [{"file": "run_0.h5", "key": "0000"}]}, "which names no run")
    given("{", "cannot be read as .json")
    given("a: [b: c]: d", "cannot be read as .yaml", ".yaml")
    given("train,run_0.h5\n", "has the columns", ".csv")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time": "train=..1,valid=1..", "param": ("nu", "train=..1")}, "choose one of them"),
        ({"gap": "1"}, "--split-gap: goes with"),
        ({"time": "train"}, "write it as train="),
        ({"time": "train=10"}, "write a range"),
        ({"time": "train=..,valid=1.."}, "write a range"),
        ({"param": ("nu", "train=..x")}, "'x' is no number"),
        ({"param": ("nu", "train=..2,valid=1..")}, "overlap"),
        ({"param": ("nu", "train=2..1")}, "is empty"),
        ({"region": "train=..2"}, "name an axis"),
        ({"region": "train=x:..2,valid=y:1.."}, "overlaps"),
    ],
)
def test_rules_that_are_not_written_as_they_must_be(given, says):
    with pytest.raises(UpsDataError, match=says) as error:
        rule_of(Path("raw"), **given)
    assert "\n" not in str(error.value)


def test_a_rule_that_does_not_fit_the_source(tmp_path, raw):
    refused("'valid' gets nothing .* gap 100", raw, tmp_path / "no", ByTime("train=..10,valid=12..", "100"))
    refused("'2015-06' is no number.* have no date", raw, tmp_path / "no", ByTime("train=..2015-06,valid=2016.."))
    refused("cannot be compared with", raw, tmp_path / "no", ByTime("train=..10,valid=12..", "3 days"))
    refused("has the axes x, y, not 'z'", raw, tmp_path / "no", ByRegion("train=z:..0.5,valid=z:0.5.."))
    (tmp_path / "raw").mkdir()
    for split in ("train", "valid"):
        np.save(tmp_path / "raw" / f"{split}.npy", series(0)[None])
    refused("brings its own splits .* leave --split-time out", tmp_path / "raw", tmp_path / "no", ByTime("train=..10"))
    with pytest.raises(UpsDataError, match="'test' gets none of 3 trajectories"):
        convert(raw, tmp_path / "no", split={"train": 0.5, "valid": 0.2, "a": 0.2, "test": 0.1})


@pytest.mark.parametrize("moving", [False, True])
def test_masks_are_cut_with_what_they_are_of(moving):
    mask = np.random.default_rng(0).random((STEPS, 6, 6) if moving else (6, 6)) > 0.5
    axes = tuple(Axis(name, np.arange(6.0)) for name in "xy")
    run = Trajectory("u", "u.npz", {"u": series(0)}, axes=axes, mask=mask)
    (window,) = (cut(run, part) for part in ByTime("valid=10..20").parts(0, run))
    assert window.mask is not None
    np.testing.assert_array_equal(window.mask[:], mask[10:20] if moving else mask)
    (region,) = (cut(run, part) for part in ByRegion("valid=x:2..4/y:..3").parts(0, run))
    assert region.mask is not None
    np.testing.assert_array_equal(region.mask[:], mask[..., 2:4, :3].reshape(*mask.shape[:-2], 6))
