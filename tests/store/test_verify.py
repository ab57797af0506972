"""Damage is found, and named: which shard, which array, which rows."""

import json
import shutil
from pathlib import Path

import crc32c
import numpy as np
import pytest

from tests import warm
from tests.datasets import edit_manifest, reseal, write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest
from ups_data.store.verify import Damage, verify_dataset
from ups_data.writing import layout

TOOL = Path(__file__).parents[2] / "tools" / "verify_shards.py"
SHARD = "train/shard-000001.zarr"


@pytest.fixture(params=["none", "lz4"])
def root(tmp_path, monkeypatch, request):
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)  # a frame to a chunk
    write_grid(tmp_path / "d", steps=(5,) * 6, codec=request.param, shard_bytes=9_000)
    assert len(Manifest.load(tmp_path / "d").splits["train"].shards) == 3
    return tmp_path / "d"


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def reasons(found):
    assert {d.shard for d in found} <= {SHARD}
    return [d.reason for d in found]


def test_an_intact_dataset_and_its_progress(root):
    calls = []
    for depth in ("sizes", "digests", "chunks"):
        assert verify_dataset(root, depth=depth, progress=lambda *seen: calls.append(seen)) == []
    total = sum(s.bytes for s in Manifest.load(root).splits["train"].shards)
    assert len(calls) == 9
    assert calls[-1] == (total, total)


def test_points_and_blocks_are_checked_too(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        for n in (5, 7):
            writer.add({"p": np.ones((3, 40 + n, 1), np.float32)}, coords=np.random.default_rng(n).random((40 + n, 3)))
    assert verify_dataset(tmp_path / "d") == []
    shard = tmp_path / "d/train/shard-000000.zarr"
    flip(next(p for p in (shard / "points/coords").rglob("*") if p.is_file() and p.name != "zarr.json"), 20)
    found = [d.reason for d in verify_dataset(tmp_path / "d")]
    assert found == ["points/coords/c/0/0/0: its bytes are not those that were written", found[1]]
    assert found[1].startswith("points/coords, rows 0 to 0")


def test_damaged_chunks_are_named(root):
    file = root / SHARD / "fields/u/c/0/0/0/0"
    chunk = file.stat().st_size // 10
    flip(file, chunk // 2)
    flip(file, 4 * chunk + chunk // 2)
    changed = "fields/u/c/0/0/0/0: its bytes are not those that were written"
    assert reasons(verify_dataset(root)) == [
        changed,
        "field 'u', rows 0 to 0: the stored bytes are damaged",
        "field 'u', rows 4 to 4: the stored bytes are damaged",
    ]
    assert reasons(verify_dataset(root, depth="digests")) == [changed]
    assert verify_dataset(root, depth="sizes") == []


def test_many_damaged_chunks_are_counted(root):
    file = root / SHARD / "fields/u/c/0/0/0/0"
    index = 16 * 10 + 4
    data = np.frombuffer(file.read_bytes(), np.uint8).copy()
    data[:-index] ^= 255
    file.write_bytes(data.tobytes())
    found = reasons(verify_dataset(root))
    assert len(found) == 1 + 5 + 1
    assert found[-1] == "field 'u': 5 more of its 10 chunks"


def test_a_damaged_index(root):
    flip(root / SHARD / "fields/u/c/0/0/0/0", -10)
    assert any("field 'u': the index of" in r for r in reasons(verify_dataset(root)))


def test_files_that_are_cut_or_gone(root):
    file = root / SHARD / "fields/u/c/0/0/0/0"
    size = file.stat().st_size
    with open(file, "r+b") as f:
        f.truncate(size - 100)
    for depth in ("sizes", "digests", "chunks"):
        says = f"fields/u/c/0/0/0/0 holds {size - 100:,} bytes, {size:,} were written"
        assert reasons(verify_dataset(root, depth=depth))[0] == says
    file.unlink()
    assert any("field 'u': " in r and "cannot be read" in r for r in reasons(verify_dataset(root)))
    shutil.rmtree(root / SHARD)
    for depth in ("sizes", "digests", "chunks"):
        assert verify_dataset(root, depth=depth) == [Damage(SHARD, "is missing")]


def test_a_damaged_table(root):
    flip(next((root / SHARD / "trajectories/time/c").rglob("*0")), 3)
    assert any(r.startswith("trajectories/time: ") for r in reasons(verify_dataset(root)))


def test_metadata_that_say_something_else(root):
    file = root / SHARD / "fields/u/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["attributes"] = {"units": "furlongs"}
    file.write_text(json.dumps(metadata))
    assert verify_dataset(root, depth="digests") != []
    metadata["shape"][0] = 4
    file.write_text(json.dumps(metadata))
    assert any("fields/u/zarr.json is damaged" in r for r in reasons(verify_dataset(root)))
    reseal(root)
    assert any("the manifest says float32 (10, 12, 10, 2)" in r for r in reasons(verify_dataset(root)))
    file.write_text(json.dumps(metadata).replace('"configuration"', '"configurations"'))
    reseal(root)
    assert any(r.startswith("field 'u': ") for r in reasons(verify_dataset(root)))


def test_a_file_that_nobody_wrote(root):
    (root / SHARD / "fields/u/notes.txt").write_text("mine")
    for depth in ("sizes", "digests", "chunks"):
        assert reasons(verify_dataset(root, depth=depth)) == ["fields/u/notes.txt is not of this shard"]


def test_another_dataset_s_shard_of_the_same_shape(root, tmp_path):
    shards = [root / s.path for s in Manifest.load(root).splits["train"].shards]
    shutil.rmtree(shards[1])
    shutil.copytree(shards[2], shards[1])  # intact, and in the wrong place
    for depth in ("sizes", "digests", "chunks"):
        says = ["is not the one that the manifest lists (checksums.json differs)"]
        assert reasons(verify_dataset(root, depth=depth)) == says


def test_damage_from_before_the_digest_was_taken(root):
    """A shard that was written wrong is sealed with its damage."""
    flip(root / SHARD / "fields/u/c/0/0/0/0", 100)
    reseal(root)
    assert verify_dataset(root, depth="digests") == []
    assert reasons(verify_dataset(root)) == ["field 'u', rows 0 to 0: the stored bytes are damaged"]


def test_a_dataset_without_shards(root):
    edit_manifest(root, lambda m: m["splits"]["train"].update(shards=[]))
    for depth in ("sizes", "digests", "chunks"):
        assert verify_dataset(root, depth=depth) == [Damage("split 'train'", "lists no shards; make the dataset again")]
    edit_manifest(root, lambda m: m.update(splits={}))
    assert verify_dataset(root) == [Damage("dataset.json", "lists no splits; make the dataset again")]


@pytest.mark.parametrize("by", [-1, 1])
def test_a_manifest_of_other_sizes(root, by):
    shards = Manifest.load(root).splits["train"].shards
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][1].update(bytes=shards[1].bytes + by))
    for depth in ("sizes", "digests", "chunks"):
        says = f"its files are {shards[1].bytes:,} bytes by its seal, the manifest says {shards[1].bytes + by:,}"
        assert reasons(verify_dataset(root, depth=depth)) == [says]


def leave_out(path, chunks, which):
    """Take chunks out of an object: absent in its index, which fits."""
    data, length = path.read_bytes(), 16 * chunks + 4
    index = np.frombuffer(data[-length:-4], "<u8").reshape(-1, 2).copy()
    index[which] = 2**64 - 1
    path.write_bytes(data[:-length] + index.tobytes() + crc32c.crc32c(index.tobytes()).to_bytes(4, "little"))


@pytest.mark.parametrize("which", [slice(None), 3], ids=["all", "one"])
def test_chunks_that_are_not_stored(root, which):
    leave_out(root / SHARD / "fields/u/c/0/0/0/0", 10, which)
    reseal(root)
    assert verify_dataset(root, depth="digests") == []
    lines = [f"field 'u', rows {n} to {n}: is not stored" for n in (range(10) if which != 3 else [3])]
    more = [f"field 'u': {len(lines) - 5} more of its 10 chunks"] if len(lines) > 5 else []
    assert reasons(verify_dataset(root)) == lines[:5] + more


def test_blocks_that_smaller_clouds_lack_are_not_missed(tmp_path):
    """But those of their own are."""
    with ShardWriter(tmp_path / "d", blocks=2, importance=("variance",)) as writer:
        for points in (40, 90):
            rng = np.random.default_rng(points)
            writer.add({"p": rng.random((3, points, 1), np.float32)}, coords=rng.random((points, 3), np.float32))
    assert verify_dataset(tmp_path / "d") == []
    shard = tmp_path / "d/train/shard-000000.zarr"
    blocks = 5  # of 20 points: the first cloud has 2
    leave_out(shard / "points/coords/c/0/0/0", 2 * blocks, blocks + 4)
    reseal(tmp_path / "d")
    found = [d.reason for d in verify_dataset(tmp_path / "d")]
    assert found == ["points/coords, rows 1 to 1, block 4: is not stored"]


def test_nan_that_was_meant_is_not_missed(tmp_path, monkeypatch):
    """zarr leaves out chunks of nothing but NaN; the statistics say that there are some."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", 960)
    values = np.ones((4, 12, 10, 2), np.float32)
    values[2] = np.nan
    with ShardWriter(tmp_path / "d", allow_nonfinite=True) as writer:
        writer.add({"u": values})
    leave_out(tmp_path / "d/train/shard-000000.zarr/fields/u/c/0/0/0/0", 4, 2)
    reseal(tmp_path / "d")
    assert verify_dataset(tmp_path / "d") == []


def test_a_damaged_importance(tmp_path):
    with ShardWriter(tmp_path / "d", importance=("variance",)) as writer:
        writer.add({"u": np.random.default_rng(0).random((4, 12, 10, 1), np.float32)})
    (path,) = (p for p in (tmp_path / "d").rglob("importance/variance/c/*/*") if p.is_file())
    flip(path, 2)
    reseal(tmp_path / "d")
    assert [d.reason for d in verify_dataset(tmp_path / "d")] == [
        "importance/variance, rows 0 to 3: the stored bytes are damaged"
    ]


def test_bad_use(tmp_path):
    with pytest.raises(UpsDataError, match="no dataset here"):
        verify_dataset(tmp_path)
    with pytest.raises(UpsDataError, match="choose one of sizes, digests, chunks"):
        verify_dataset(tmp_path, depth="all")


def test_the_tool(tmp_path):
    def tool(*arguments):
        environment = {"COLUMNS": "200", "PYTHONPATH": str(TOOL.parents[1])}
        return warm.run([TOOL, tmp_path / "d", *arguments], env=environment)

    write_grid(tmp_path / "d")
    flip(tmp_path / "d/train/shard-000000.zarr/fields/u/c/0/0/0/0", 100)
    done = tool()
    assert done.returncode == 1
    assert all(part in done.stdout for part in ("shard-000000", "rows 0 to 34", "1 damaged shard(s)", "again"))
    done = tool("--quick", "sizes")
    assert (done.returncode, "intact (sizes checked)" in done.stdout) == (0, True)
    done = tool("--quick", "all")
    assert done.returncode == 2
    assert done.stderr.startswith("error: depth 'all'")


def test_names_of_files_are_on_one_line(tmp_path):
    """Whatever a file of a shard is called."""
    write_grid(tmp_path / "d")
    odd = tmp_path / "d" / Manifest.load(tmp_path / "d").splits["train"].shards[0].path / "fields" / "a\nb"
    odd.write_bytes(b"")
    reseal(tmp_path / "d")
    odd.unlink()
    damage = verify_dataset(tmp_path / "d")
    assert [d.reason for d in damage if "a" in d.reason and "missing" in d.reason] == ["fields/a\\nb is missing"]
