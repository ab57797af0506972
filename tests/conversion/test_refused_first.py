"""What is refused before the first shard is written, not after the last one."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest, limits
from ups_data.trajectory import Axis


def never(done: int, total: int) -> None:
    assert done == 0, "a trajectory was written"


def refused(tmp_path: Path, says: str, **options: object) -> None:
    with pytest.raises(UpsDataError, match=says) as error:
        convert(tmp_path / "u.npy", tmp_path / "d", progress=never, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


def test_more_frames_than_a_manifest_may_list(tmp_path, monkeypatch):
    np.save(tmp_path / "u.npy", np.zeros((3, 4, 4, 4, 1), np.float32))
    monkeypatch.setattr(limits, "FRAMES", 10)
    refused(tmp_path, "claims 12 frames, the limit is 10")


def test_a_manifest_that_could_not_be_read_back(tmp_path, monkeypatch):
    np.save(tmp_path / "u.npy", np.zeros((3, 4, 4, 4, 1), np.float32))
    monkeypatch.setattr(limits, "JSON_BYTES", 1000)
    refused(tmp_path, "the manifest would be .* bytes long, the limit is 1,000")


def test_more_than_the_disk_has_room_for(tmp_path, monkeypatch):
    """A file of holes, which takes no room itself."""
    frames = 2**43 // (1024 * 1024 * 4)
    with open(tmp_path / "u.npy", "wb") as file:
        shape = (1, frames, 1024, 1024, 1)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 2**43)
    refused(tmp_path, r"8,796.1 GB are to be written, .* GB are free: make room")
    with monkeypatch.context() as patch:  # a codec makes them smaller, but not to nothing
        patch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**9))
        refused(tmp_path, r"34.5 GB are to be written, 1.0 GB are free: make room", codec="lz4")


def test_what_one_trajectory_cannot_be_is_one_line(tmp_path):
    """Of units that nobody could read."""
    axes = [Axis("y", np.arange(4.0), units="m" * 20_000), Axis("x", np.arange(4.0))]
    with pytest.raises(UpsDataError, match="cannot be stored: ") as error, ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": np.zeros((1, 4, 4, 1), np.float32)}, axes=axes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "shares", [{"train": float("nan")}, {"train": float("inf")}, {"train": -1.0, "test": 2.0}, {"train": "x"}, {}]
)
def test_shares_are_numbers_that_add_up_to_one(tmp_path, shares):
    np.save(tmp_path / "u.npy", np.zeros((3, 4, 4, 4, 1), np.float32))
    refused(tmp_path, "must be positive and add up to 1", split=shares)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeouts(tmp_path, timeout):
    np.save(tmp_path / "u.npy", np.zeros((3, 4, 4, 4, 1), np.float32))
    refused(tmp_path, "timeout=", timeout=timeout)


@pytest.mark.parametrize("name", ["u\n", "a/b", "", ".hidden", "x" * 101])
def test_names_of_fields_and_parameters(tmp_path, name):
    u = np.zeros((1, 4, 4, 1), np.float32)
    for given in ({"fields": {name: u}}, {"fields": {"u": u}, "params": {name: 1.0}}):
        with pytest.raises(UpsDataError, match="has the name"), ShardWriter(tmp_path / "d") as writer:
            writer.add(**given)
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": u})
    assert Manifest.load(tmp_path / "d").fields[0].name == "u"
