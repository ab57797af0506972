"""What a manifest claims is compared with the shards before anything is planned."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import edit_manifest, write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest, limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.store.claims import check_claims
from ups_data.store.local import LocalStore
from ups_data.store.root import open_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five shards of 7, 7, 5, 9 and 7 frames."""
    write_grid(tmp_path / "d", shard_bytes=1)
    return tmp_path / "d"


def check(root: Path) -> None:
    manifest = Manifest.load(root)
    check_claims(open_store(root), manifest, manifest.split("train").shards)


def claim(root: Path, shard: int, steps: list[int]) -> None:
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][shard].update(steps=steps))


def test_honest_frames_are_believed(root, monkeypatch):
    check(root)
    monkeypatch.setattr(limits, "BELIEVED_FRAMES", 0)  # each is compared
    check(root)


def test_frames_that_are_not_there(root, monkeypatch):
    claim(root, 2, [limits.BELIEVED_FRAMES + 1])
    with pytest.raises(UpsDataError, match=r"claims 1,048,577 frames, their times are \d+ bytes"):
        check(root)
    claim(root, 2, [200])
    check(root)
    monkeypatch.setattr(limits, "BELIEVED_FRAMES", 40)
    with pytest.raises(UpsDataError, match="shard-000002.*claims 200 frames"):
        check(root)


def test_frames_of_many_shards_together(root, monkeypatch):
    monkeypatch.setattr(limits, "BELIEVED_FRAMES", 400)
    for shard in range(5):
        claim(root, shard, [300])
    with pytest.raises(UpsDataError, match="claims 300 frames"):
        check(root)


def test_a_few_missing_shards_are_for_the_reader_to_notice(root, monkeypatch):
    monkeypatch.setattr(limits, "BELIEVED_FRAMES", 8)
    (root / "train/shard-000002.zarr/trajectories/time/c/0").unlink()
    check(root)
    (root / "train/shard-000003.zarr/trajectories/time/c/0").unlink()
    with pytest.raises(UpsDataError, match="trajectories/time: .*is missing"):
        check(root)


def test_a_store_that_knows_no_size_is_asked_for_the_last_byte(root, monkeypatch):
    class Read(LocalStore):
        zero_copy = False
        asked = 0

        def open(self, key, size):
            opened = super().open(key, None)
            opened.size = opened.size if size is None else size
            return opened

        def get_ranges(self, wanted):
            self.asked += len(wanted)
            return super().get_ranges(wanted)

    monkeypatch.setattr(limits, "BELIEVED_FRAMES", 0)
    manifest, store = Manifest.load(root), Read(root)
    check_claims(store, manifest, manifest.split("train").shards)
    assert store.asked == 5
    claim(root, 0, [10**6])
    manifest = Manifest.load(root)
    with pytest.raises(UpsDataError, match="claims more than is there"):
        check_claims(store, manifest, manifest.split("train").shards)


def long_axes(manifest):
    axis = {"physical": [float(i) for i in range(1000)], "normalised": [i / 999 for i in range(1000)]}
    manifest["grid"]["axes"] = [{**axis, "name": name} for name in "zyx"]


def test_frames_larger_than_what_is_stored(root, tmp_path, monkeypatch):
    edit_manifest(root, long_axes)
    with pytest.raises(UpsDataError, match=r"claims frames of 12,000,000,000 bytes, \d+,\d+ are stored"):
        check(root)
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "c", shard_bytes=1) as writer:
        for n in (50, 60):
            writer.add({"u": np.ones((2, n, 1), np.float32)}, coords=rng.random((n, 2)).astype(np.float32))
    check(tmp_path / "c")
    monkeypatch.setattr(limits, "BELIEVED_BYTES", 0)
    check(tmp_path / "c")
    (tmp_path / "c/train/shard-000001.zarr/points/coords/c/0/0/0").unlink()  # another shard shows that it can be
    check(tmp_path / "c")
    monkeypatch.setattr(limits, "EXPANSION", 0.1)
    with pytest.raises(UpsDataError, match="claims frames of 1,200 bytes"):
        check(tmp_path / "c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[" + b"[]," * 2_100_000 + b"1]", "keys and lists"),
        (b"[" + b"1," * 13_000_000 + b"1]", "values"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(2_100_000)) + b"}", "keys and lists"),
        (b"[" * 500_000, "too many to follow|Expecting"),
        (b"9" * 5000, "digits"),
        (b'"\xff"', "decode"),
    ],
)
def test_small_text_that_would_become_large_objects(text, says):
    with pytest.raises(ValueError, match=says):
        parse_json(text)


def test_statistics_are_of_the_channels(root):
    edit_manifest(root, lambda m: m["splits"]["train"]["statistics"]["u"]["mean"].append(0.0))
    with pytest.raises(UpsDataError, match="statistics of 'u' are not of its channels"):
        Manifest.load(root)
