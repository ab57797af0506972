"""Copies of datasets from anywhere, and to folders that somebody else has prepared."""

import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from tests.datasets import edit_manifest, write_grid
from tests.faults.hostile.around import Around
from ups_data import UpsDataError
from ups_data.schema import MANIFEST
from ups_data.schema.trajectories import SEAL
from ups_data.store.moving.copying import copy_dataset
from ups_data.store.openings.format import MAGIC, entries, packed, unpacked
from ups_data.store.sealing import file_digest
from ups_data.store.verify import verify_dataset

SHARD = "train/shard-000000.zarr"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copied") / "d"
    write_grid(root, steps=(5, 4))
    return root


@pytest.fixture
def root(around: Around, intact: Path) -> Path:
    shutil.copytree(intact, around.given / "d")
    return around.given / "d"


PARTS = {
    ".copying": ".copying",
    "the split": "train",
    "the shard": SHARD,
    "a folder in it": f"{SHARD}/fields",
    "the openings": "openings",
}


@pytest.mark.parametrize("part", PARTS)
def test_links_in_the_place_that_it_is_copied_to(around: Around, root: Path, part: str) -> None:
    """Nothing behind them is written, removed or listed."""
    path = around.out / PARTS[part]
    path.parent.mkdir(parents=True)
    path.symlink_to(around.others / "folder")
    around.watch()
    with pytest.raises(UpsDataError, match="link"):
        copy_dataset(root, around.out)
    assert around.changes() == []


def test_links_in_place_of_files(around: Around, root: Path) -> None:
    """Those that replace others in one step, and their names while they are written."""
    for name in (f".{MANIFEST}.{os.getpid()}", f"{SHARD}/.zarr.json.{os.getpid()}", ".copying/x"):
        path = around.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(around.others / "notes.txt")
    around.watch()
    copy_dataset(root, around.out)
    assert around.changes() == []
    assert not (around.out / MANIFEST).is_symlink()


@pytest.mark.parametrize(
    "name", ["../../../others/x", "/tmp/x", "a/../../../x", "", "a//b", "c\\d", "zarr.json\n/../x"]
)
def test_a_seal_that_lists_what_is_elsewhere(around: Around, root: Path, name: str) -> None:
    """Sealed and signed by whoever made it."""
    seal = json.loads((root / SHARD / SEAL).read_text())
    seal["files"][name] = [4, "0" * 64]
    (root / SHARD / SEAL).write_text(json.dumps(seal))
    digest = f"sha256:{file_digest(root / SHARD / SEAL)}"
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(digest=digest))
    around.watch()
    with pytest.raises(UpsDataError) as caught:
        copy_dataset(root, around.out)
    assert "\n" not in str(caught.value)
    assert not (around.out / MANIFEST).exists()
    assert verify_dataset(root) != []
    assert around.changes() == []


def test_openings_that_claim() -> None:
    """They vouch for nothing, so one that cannot be right is passed over."""
    sound = packed([{"a": b"xyz"}])
    (start, length, digest), *_ = entries(sound, 1) or []
    assert {k: bytes(v) for k, v in (unpacked(sound[start : start + length], digest) or {}).items()} == {"a": b"xyz"}
    for place, size in ((2**63, 5), (2**64 - 1, 2**64 - 1), (100, 2**40)):
        assert entries(MAGIC + struct.pack("<QQ32s", place, size, digest), 1) is None

    for listing in (b"[" * 10**5, b"[[[], 0, 1]]", b'[["a", null, 1]]', b'[["a", 1]]', b"{}", b"7", b"\xff", b""):
        part = struct.pack("<I", len(listing)) + listing
        assert not unpacked(part, hashlib.sha256(part).digest())
    assert unpacked(b"\x01", hashlib.sha256(b"\x01").digest()) is None
