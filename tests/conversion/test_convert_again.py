"""Conversions that end early, and the same or another command after them."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import ConversionProcess, digests, grid_source
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.work_folder import FOLDER, WorkFolder
from ups_data.schema import Manifest
from ups_data.schema.file import RECORD
from ups_data.store.verify import verify_dataset

SHARD = 3 * 16 * 16 * 4 * 2  # two of the trajectories


class Ended(Exception):
    """Stands for anything that ends a conversion."""


def write_runs(folder: Path, count: int = 8, bad: tuple[int, ...] = ()) -> Path:
    """A file for each trajectory; those in `bad` end with a NaN."""
    folder.mkdir()
    for i in range(count):
        u = np.random.default_rng(i).standard_normal((1, 3, 16, 16, 1)).astype(np.float32)
        if i in bad:
            u[0, 2, 15, 15] = np.nan
        np.savez(folder / f"run_{i}.npz", u=u)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Eight trajectories."""
    return write_runs(tmp_path_factory.mktemp("source") / "raw")


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> dict[str, str]:
    """Every file of its dataset."""
    out = tmp_path_factory.mktemp("whole") / "d"
    convert(source, out, shard_bytes=SHARD)
    return digests(out)


def end_after(trajectories: int):
    def progress(done: int, total: int) -> None:
        if done >= trajectories:
            raise Ended

    return progress


def begin(source: Path, out: Path, trajectories: int = 5, **options) -> None:
    """A conversion that ends early, with two shards or so."""
    with pytest.raises(Ended):
        convert(source, out, shard_bytes=SHARD, progress=end_after(trajectories), **options)


def one_line(error: pytest.ExceptionInfo) -> None:
    assert "\n" not in str(error.value)


def test_it_goes_on_and_ends_with_the_same_bytes(tmp_path, source, undisturbed):
    begin(source, tmp_path / "d")
    finished = {p: p.stat().st_ino for p in (tmp_path / "d").glob("*/*.zarr")}
    assert len(finished) == 2
    with pytest.raises(UpsDataError, match="no dataset here"):
        Manifest.load(tmp_path / "d")
    told: list[int] = []
    convert(source, tmp_path / "d", shard_bytes=SHARD, progress=lambda done, total: told.append(done))
    assert told[0] == 4
    assert told[-1] == 8
    assert {p: p.stat().st_ino for p in finished} == finished
    assert digests(tmp_path / "d") == undisturbed


def test_the_bytes_are_those_of_the_writer(tmp_path, source):
    """Shards are closed where `ShardWriter` closes them, and statistics agree to the last bit."""
    convert(source, tmp_path / "d", shard_bytes=SHARD, split={"train": 1.0})
    with ShardWriter(tmp_path / "w", shard_bytes=SHARD, source=Manifest.load(tmp_path / "d").source) as writer:
        for i in range(8):
            u = np.load(source / f"run_{i}.npz")["u"][0]
            writer.add({"u": u}, key="0000", source=str(source / f"run_{i}.npz"))
    converted = digests(tmp_path / "d")
    assert converted.pop(RECORD)  # what it was converted from, which a writer cannot say
    assert digests(tmp_path / "w") == converted


def test_a_shard_without_a_record_or_of_another_size_is_made_again(tmp_path, source, undisturbed):
    begin(source, tmp_path / "d")
    (tmp_path / "d" / FOLDER / "train-shard-000000.json").unlink()
    chunk = tmp_path / "d" / "train" / "shard-000001.zarr" / "fields" / "u" / "c" / "0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    convert(source, tmp_path / "d", shard_bytes=SHARD)
    assert digests(tmp_path / "d") == undisturbed


def test_a_changed_source_is_refused(tmp_path):
    source = write_runs(tmp_path / "raw")
    begin(source, tmp_path / "d")
    os.utime(source / "run_3.npz", ns=(0, 0))
    with pytest.raises(UpsDataError, match=r"run_3.npz of the source has changed: .*remove the folder") as error:
        convert(source, tmp_path / "d", shard_bytes=SHARD)
    one_line(error)
    np.savez(source / "run_8.npz", u=np.zeros((1, 3, 16, 16, 1), np.float32))
    (source / "run_3.npz").rename(source / "run_9.npz")
    with pytest.raises(UpsDataError, match="run_3.npz of the source is gone"):
        convert(source, tmp_path / "d", shard_bytes=SHARD)
    assert len(list((tmp_path / "d").glob("*/*.zarr"))) == 2


def test_a_changed_option_is_refused(tmp_path, source):
    begin(source, tmp_path / "d", trajectories=3)
    for name, value in {"codec": "lz4", "seed": 1, "blocks": 4, "split": {"train": 1.0}}.items():
        with pytest.raises(UpsDataError, match=f"the option {name} was .*, it is ") as error:
            convert(source, tmp_path / "d", **{"shard_bytes": SHARD, name: value})
        one_line(error)
    assert list((tmp_path / "d").glob("*/*.zarr"))


def test_a_complete_dataset(tmp_path, source):
    """Also one that was killed in its last step, with the folder of records still there."""
    manifest = convert(source, tmp_path / "d")
    before = digests(tmp_path / "d")
    assert convert(source, tmp_path / "d") == manifest
    (tmp_path / "d" / FOLDER).mkdir()
    assert convert(source, tmp_path / "d") == manifest
    assert digests(tmp_path / "d") == before
    with pytest.raises(UpsDataError, match="already holds a dataset"):
        convert(source, tmp_path / "d", codec="lz4")
    assert digests(tmp_path / "d") == before
    (tmp_path / "d" / manifest.splits["train"].shards[0].path / "zarr.json").unlink()
    with pytest.raises(UpsDataError, match="is damaged: remove"):
        convert(source, tmp_path / "d")


def test_stopped_as_the_first_shard_is_recorded(tmp_path, source, monkeypatch):
    publish = WorkFolder.publish

    def stopped(self: WorkFolder, *given: object) -> None:
        publish(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(WorkFolder, "publish", stopped)
        convert(source, tmp_path / "d", shard_bytes=SHARD)
    assert len(list((tmp_path / "d").glob("*/*.zarr"))) == 1
    told: list[int] = []
    convert(source, tmp_path / "d", shard_bytes=SHARD, progress=lambda done, total: told.append(done))
    assert told[0] == 2


def test_the_second_of_two_is_refused(tmp_path, source):

    def progress(done: int, total: int) -> None:
        with pytest.raises(UpsDataError, match="another conversion into this folder is under way"):
            convert(source, tmp_path / "d")

    convert(source, tmp_path / "d", progress=progress)
    assert Manifest.load(tmp_path / "d").source["path"] == str(source)


def test_an_error_before_any_shard_leaves_nothing(tmp_path):
    source = write_runs(tmp_path / "raw", bad=(0, 1, 2, 3, 4, 5, 6, 7))
    with pytest.raises(UpsDataError, match="NaN"):
        convert(source, tmp_path / "d", shard_bytes=SHARD)
    assert not (tmp_path / "d").exists()
    (tmp_path / "d").mkdir()
    with pytest.raises(UpsDataError, match="none of 8 trajectories can be stored; the first: .*NaN"):
        convert(source, tmp_path / "d", shard_bytes=SHARD, on_error="skip")
    assert not list((tmp_path / "d").glob("*/*.zarr"))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_what_cannot_be_read_or_stored_is_left_out(tmp_path, workers):
    """A file that is no archive, one of another shape, one of NaN; the first one is among them."""
    source = write_runs(tmp_path / "raw", count=10, bad=(3, 4))
    whole = convert(write_runs(tmp_path / "good", count=10), tmp_path / "whole", shard_bytes=SHARD)
    np.savez(source / "run_0.npz", u=np.zeros((1, 3, 8, 8, 1), np.float32))
    (source / "run_6.npz").write_bytes((source / "run_6.npz").read_bytes()[:200])
    options = {"shard_bytes": SHARD, "on_error": "skip", "workers": workers}
    manifest = convert(source, tmp_path / "d", **options)
    assert [e.key for e in manifest.left_out] == ["0000", "0000", "0000", "number 6"]
    assert [Path(e.source).name for e in manifest.left_out] == ["run_0.npz", "run_3.npz", "run_4.npz", "raw"]
    for entry, reason in zip(manifest.left_out, ("shape", "NaN", "NaN", "run_6.npz"), strict=True):
        assert reason in entry.reason
    where, expected = (
        {
            Path(file).name: split
            for split in m.splits
            for shard in sorted((root / split).glob("*.zarr"))
            for file in sources_of(shard)
        }
        for m, root in ((manifest, tmp_path / "d"), (whole, tmp_path / "whole"))
    )
    assert where == {name: split for name, split in expected.items() if name not in BAD}
    begin(source, tmp_path / "again", trajectories=4, on_error="skip")
    convert(source, tmp_path / "again", **options)
    assert digests(tmp_path / "again") == digests(tmp_path / "d")


BAD = {"run_0.npz", "run_3.npz", "run_4.npz", "run_6.npz"}


def sources_of(shard: Path) -> list[str]:
    import json

    return json.loads((shard / "trajectories" / "zarr.json").read_text())["attributes"]["source"]


def test_after_an_error_skip_goes_on(tmp_path):
    source = write_runs(tmp_path / "raw", bad=(7,))
    with pytest.raises(UpsDataError, match=r"run_7|trajectory"):
        convert(source, tmp_path / "d", shard_bytes=SHARD)
    finished = {p: p.stat().st_ino for p in (tmp_path / "d").glob("*/*.zarr")}
    assert finished
    assert len(convert(source, tmp_path / "d", shard_bytes=SHARD, on_error="skip").left_out) == 1
    assert {p: p.stat().st_ino for p in finished} == finished


def test_out_inside_the_source_is_refused(tmp_path):
    source = write_runs(tmp_path / "raw")
    with pytest.raises(UpsDataError, match="lies in the source"):
        convert(source, source / "d")


LIMIT_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_a_full_disk_ends_in_one_line(tmp_path, workers):
    arguments = [*grid_source(tmp_path / "raw", trajectories=12), "--split", "train=1", "--workers", str(workers)]
    out = tmp_path / "d"
    run = ConversionProcess(arguments, out, first=LIMIT_FILES)
    assert run.end() == 2
    assert run.errors.count("\n") == 1, run.errors
    assert "File too large" in run.errors
    assert "run the same command again" in run.errors
    assert not out.exists()  # not one shard was finished
    assert not run.members()


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(
    ("workers", "stops"),
    [(2, STOPS[:1]), *(pytest.param(n, STOPS, marks=pytest.mark.faults) for n in (1, 2))],
    ids=["short", "one", "two"],
)
def test_ctrl_c_and_sigterm_end_in_one_line(tmp_path, workers, stops):
    """Of the command and of all its processes."""
    shards = 2 + 10 * len(stops)
    arguments = [
        *grid_source(tmp_path / "raw", trajectories=3 * shards),
        "--split",
        "train=1",
        "--workers",
        str(workers),
    ]
    out = tmp_path / "d"
    for number, status in stops:
        for _ in range(5):
            run = ConversionProcess(arguments, out)
            ended = run.signal_at_work(number, shards)
            alive = run.members()
            if ended is not None:
                break
            assert run.process.returncode == 0, run.errors  # this machine was held up: once more
            shutil.rmtree(out)
        assert ended == status, run.errors
        assert run.errors.strip() == f"{out}: stopped; the same command goes on from the shards that are finished"
        assert not alive
        assert {p.name for p in out.iterdir()} == {FOLDER, "train"}
    run = ConversionProcess(arguments, out)
    assert run.end() == 0, run.errors
    assert not run.members()
    assert not verify_dataset(out)
    assert Manifest.load(out).splits["train"].num_trajectories == 3 * shards
    assert len(list(out.glob("*/*.zarr"))) == shards
