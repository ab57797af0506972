"""What changes while a conversion is under way: its source, and the folder that it writes to."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.schema import MANIFEST

RUNS = 6
U = np.random.default_rng(0).standard_normal((RUNS, 2, 8, 8, 1)).astype(np.float32)
SHARD = U[0].nbytes  # one trajectory


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file for each trajectory."""
    (tmp_path / "raw").mkdir()
    for i in range(RUNS):
        np.save(tmp_path / "raw" / f"run_{i}.npy", U[i : i + 1])
    return tmp_path / "raw"


def at(trajectories: int, change: Callable[[], object]) -> Callable[[int, int], None]:
    """A function to tell the progress to; it makes one change when so many trajectories are done."""
    left = [change]

    def progress(done: int, total: int) -> None:
        if done >= trajectories and left:
            left.pop()()

    return progress


def touch_later(file: Path, array: np.ndarray) -> None:
    np.save(file, array)
    os.utime(file, ns=(0, os.stat(file).st_mtime_ns + 10**9))


CHANGES = {
    "another content": (lambda raw: touch_later(raw / "run_5.npy", U[:1]), "run_5.npy of the source has changed"),
    "one converted already": (
        lambda raw: touch_later(raw / "run_0.npy", U[1:2]),
        "run_0.npy of the source has changed",
    ),
    "longer": (lambda raw: np.save(raw / "run_3.npy", U[:2]), "run_3.npy of the source has changed"),
    "gone": (lambda raw: (raw / "run_0.npy").unlink(), "run_0.npy of the source is gone"),
    "another file": (lambda raw: np.save(raw / "run_7.npy", U[:1]), "run_7.npy of the source is new"),
}


@pytest.mark.parametrize(("change", "workers"), [*((name, 1) for name in CHANGES), ("another content", 2)])
def test_a_source_that_changes_is_noticed(tmp_path, raw, change, workers):
    """Before anything that was read from it since is a part of the dataset."""
    how, says = CHANGES[change]
    with pytest.raises(UpsDataError, match=says + " while it was converted: .*convert it anew") as error:
        convert(raw, tmp_path / "d", shard_bytes=SHARD, progress=at(2, lambda: how(raw)), workers=workers)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d" / MANIFEST).exists()
    if change != "another file":
        assert len(list((tmp_path / "d").glob("*/*.zarr"))) <= 2


def test_the_ends_of_a_file_that_keeps_size_and_time_are_compared_at_the_end(tmp_path, raw):
    def change() -> None:
        file, status = raw / "run_0.npy", os.stat(raw / "run_0.npy")
        np.save(file, U[1:2])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(UpsDataError, match="run_0.npy of the source has changed while"):
        convert(raw, tmp_path / "d", shard_bytes=SHARD, progress=at(2, change))
    assert not (tmp_path / "d" / MANIFEST).exists()


def test_a_file_that_changes_is_noticed(tmp_path):
    np.save(tmp_path / "u.npy", U)
    other = np.lib.format.open_memmap(tmp_path / "u.npy", "r+")

    def change() -> None:
        other[...] = 1.0
        other.flush()
        os.utime(tmp_path / "u.npy", ns=(0, os.stat(tmp_path / "u.npy").st_mtime_ns + 10**9))

    with pytest.raises(UpsDataError, match="u.npy of the source has changed while"):
        convert(tmp_path / "u.npy", tmp_path / "d", shard_bytes=SHARD, progress=at(2, change))


def test_a_pipe_among_the_files_is_refused_at_once(tmp_path, raw):
    os.mkfifo(raw / "run_2.npy.more")
    with pytest.raises(UpsDataError, match="is a pipe|is no regular file"):
        convert(raw, tmp_path / "d")


PLACES = ["", "train", "train/shard-000001.zarr", "train/shard-000001.zarr/zarr.json"]


@pytest.mark.parametrize(("what", "workers"), [*((name, 1) for name in PLACES), ("", 2)])
def test_a_dataset_that_is_removed_meanwhile_is_no_success(tmp_path, raw, what, workers):
    out = tmp_path / "d"

    def remove() -> None:
        (out / what).unlink() if (out / what).is_file() else shutil.rmtree(out / what)

    with pytest.raises(UpsDataError, match="removed or") as error:
        convert(raw, out, split={"train": 1.0}, shard_bytes=SHARD, progress=at(RUNS - 1, remove), workers=workers)
    assert "\n" not in str(error.value)
    assert not (out / MANIFEST).exists()
    if what:
        convert(raw, out, split={"train": 1.0}, shard_bytes=SHARD)
    elif workers == 1:  # a worker that wrote meanwhile can hold up the removal itself
        assert not out.exists()
    convert(raw, tmp_path / "whole", split={"train": 1.0}, shard_bytes=SHARD)


def test_a_writer_whose_shards_are_removed_is_no_success(tmp_path):
    with (
        pytest.raises(UpsDataError, match=r"train/shard-000000.zarr was removed or changed"),
        ShardWriter(tmp_path / "d", shard_bytes=1) as writer,
    ):
        for u in U:
            writer.add({"u": u})
        shutil.rmtree(tmp_path / "d" / "train" / "shard-000000.zarr")
    assert not (tmp_path / "d").exists()
