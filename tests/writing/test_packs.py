"""Packs: the same batches from one array as from several."""

import hashlib
import json

import numpy as np
import pytest
import torch
import xarray

from benchmarks.batches.batch_digests.configurations import FRAMES, MAKING, MODES, POINTS, SCHEDULES
from benchmarks.batches.batch_digests.digests import digests
from benchmarks.batches.batch_digests.written import WRITTEN
from tests.datasets import edit_manifest
from tests.store.serving import RangeServer
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.loader.state import dataset_digest
from ups_data.schema import Manifest
from ups_data.schema import packs as packs_module
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.shard import Shard
from ups_data.store.verify import verify_dataset
from ups_data.writing.add_importance import add_importance

ALL = {n: c for n, c in (MODES | SCHEDULES | FRAMES | POINTS | MAKING).items() if not n.startswith("damaged")}
SOME = (
    *("plane blocks", "importance from blocks", "cube blocks float16", "input steps from blocks", "cloud uniform"),
    *("cloud blocks", "particles blocks", "ragged padded blocks", "sets with inputs", "ragged sets in blocks"),
    *("pipeline of chosen samples", "off grid"),
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Folder of a dataset by name, packed or not; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("packs")

    def made(name, pack):
        root = folder / f"{name}{'-packed' * pack}"
        if not root.exists():
            WRITTEN[name](root, **({"pack": True} if pack else {}))
        return root

    return made


def digest(configuration, datasets, folder, *, pack):
    folder.mkdir()
    for name in configuration.datasets:
        (folder / name).symlink_to(datasets(name, pack))
    return digests(configuration, folder)


@pytest.mark.parametrize("name", [n if n in SOME else pytest.param(n, marks=pytest.mark.slow) for n in ALL])
def test_batches_of_packs_are_those_of_separate_arrays(name, datasets, tmp_path):
    packed = digest(ALL[name], datasets, tmp_path / "packed", pack=True)
    assert packed == digest(ALL[name], datasets, tmp_path / "apart", pack=False)


@pytest.mark.parametrize("name", ["particles", "sets", "ragged-blocks", "cube-blocks", "plane"])
def test_packs_are_verified(name, datasets):
    root = datasets(name, True)
    manifest = Manifest.load(root)
    assert verify_dataset(root) == []
    packed = {field for pack in manifest.packs.values() for field in pack.fields}
    assert packed
    shard = manifest.splits["train"].shards[0]
    stored = {path.name for path in (root / shard.path / "fields").iterdir() if path.is_dir()}
    assert stored == {*manifest.packs, *(f"{n}_channel" for n in manifest.packs)} | (
        {f.name for f in manifest.fields} - packed
    )
    name = next(iter(manifest.packs))
    (file,) = [p for p in (root / shard.path / "fields" / name / "c").rglob("*") if p.is_file()]
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    try:
        assert any("the stored bytes are damaged" in d.reason for d in verify_dataset(root))
    finally:
        data[100] ^= 1
        file.write_bytes(data)


def test_xarray_shows_the_channels_by_name(datasets):
    root = datasets("cloud-blocks", True)
    manifest = Manifest.load(root)
    spec = manifest.splits["train"].shards[0]
    opened = xarray.open_zarr(root / spec.path, group="fields", consolidated=False)
    pack = opened["packed_float32"]
    assert pack.dims == ("row", "point", "packed_float32_channel")
    assert [str(c) for c in pack["packed_float32_channel"].values] == ["x", "y", "z", "point", "u_0", "u_1", "p"]
    shard = Shard(root, manifest, spec)
    row = shard.first_row(2)
    numbers = pack.sel(packed_float32_channel="point")[row].values
    pressure = pack.sel(packed_float32_channel="p")[row].values
    there = numbers >= 0
    assert sorted(numbers[there].astype(int)) == list(range(300))
    assert np.array_equal(pressure[there], shard.frame("p", 2)[numbers[there].astype(int), 0])


def test_importance_is_added_to_packs(tmp_path):
    options = {"points": (300,) * 5, "dim": 3, "blocks": 4}
    made = WRITTEN["cloud"].func
    made(tmp_path / "later", pack=True, **options)
    add_importance(tmp_path / "later", ["gradient"])
    made(tmp_path / "at-once", importance=("gradient",), **options)
    rows = []
    for root in (tmp_path / "later", tmp_path / "at-once"):
        manifest = Manifest.load(root)
        array = Shard(root, manifest, manifest.splits["train"].shards[0]).importance("gradient")
        rows.append(np.concatenate([array.chunk(n) for n in range(-(-array.shape[0] // array.chunk_rows))]))
    assert np.array_equal(*rows, equal_nan=True)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """The same clouds, in separate arrays and in packs, as in the benchmark's third workload."""
    folder = tmp_path_factory.mktemp("clouds")
    for pack in (False, True):
        with ShardWriter(folder / f"{pack}", blocks=64, pack=pack) as writer:
            for run in range(4):
                rng = np.random.default_rng(run)
                writer.add({"u": rng.random((1, 4096, 4), np.float32)}, coords=rng.random((4096, 3), np.float32))
    return folder


DRAWN = QuerySampling(num_queries=256, mode="blocks")
CLOUDS = {"split": "train", "batch_size": 1, "sampling": DRAWN, "inputs": DRAWN, "horizon": 0, "input_queries": False}


def test_a_sample_takes_less_than_half_of_the_chunks(clouds, monkeypatch):
    """Chunks that one epoch reads, of whatever array: each is a request where none lies beside another."""
    counts = []
    parts = DirectArray._parts
    monkeypatch.setattr(DirectArray, "_parts", lambda self, found: read.append(len(found)) or parts(self, found))
    for pack in (False, True):
        read = []
        samples = sum(1 for _ in QueryLoader(clouds / f"{pack}", threads=0, **CLOUDS))
        counts.append(sum(read) / samples)
    print(f"\nchunks a sample: {counts[0]:.0f} apart, {counts[1]:.0f} packed")
    assert counts[1] <= 0.55 * counts[0]


def test_a_store_is_asked_less_than_half_as_often(clouds):
    """By the server's own count, for the same batches. Nothing is fetched ahead: else it depends on the machine how
    many blocks' ranges meet in one request."""
    counts, batches = [], []
    for pack in (False, True):
        with RangeServer(clouds / f"{pack}") as server:
            loader = QueryLoader(server.url, threads=0, prefetch_bytes=0, **CLOUDS)
            batches.append([batch.target_queries for batch in loader])
            counts.append(sum("/c/" in asked.key and asked.start is not None for asked in server.asked))
    assert counts[1] <= 0.55 * counts[0]
    for apart, packed in zip(*batches, strict=True):
        assert torch.equal(apart.index, packed.index)
        assert torch.equal(apart.coords, packed.coords)
        assert torch.equal(apart.values["u"], packed.values["u"])


def test_what_is_not_packed_is_as_before(datasets):
    """Neither a manifest nor the identity that a state holds knows of packs where there are none."""
    root = datasets("cloud", False)
    assert "packs" not in json.loads((root / "dataset.json").read_text())
    manifest = Manifest.load(root)
    content = manifest.model_dump(mode="json", exclude={"splits", "source", "packs"})
    content["shards"] = [s.model_dump(mode="json", exclude={"path", "bytes"}) for s in manifest.split("train").shards]
    expected = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    assert dataset_digest(manifest, "train") == expected
    assert dataset_digest(Manifest.load(datasets("cloud", True)), "train") != expected


def test_more_points_than_float32_numbers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ups_data.writing.shard.open_shard.MOST_POINTS", 100)
    monkeypatch.setattr(packs_module, "MOST_POINTS", 100)
    cloud = np.zeros((1, 50, 1), np.float32), np.random.default_rng(0).random((50, 3), np.float32)
    large = np.zeros((1, 101, 1), np.float32), np.random.default_rng(0).random((101, 3), np.float32)
    refused = pytest.raises(UpsDataError, match="101 points, a pack numbers at most 100: store it without --pack")
    with refused, ShardWriter(tmp_path / "d", blocks=4, pack=True) as writer:
        for u, coords in (cloud, large):
            writer.add({"u": u}, coords=coords)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda packs: packs["packed_float32"].update(fields=["u", "q"]), "packs hold"),
        (lambda packs: packs["packed_float32"].update(fields=["u", "mass"]), "holds fields of several kinds"),
        (lambda packs: packs.update(more=packs["packed_float32"]), "packs hold"),
    ],
)
def test_a_manifest_with_impossible_packs_is_refused(datasets, tmp_path, change, line):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/dataset.json").write_bytes((datasets("cloud", True) / "dataset.json").read_bytes())
    edit_manifest(tmp_path / "d", lambda manifest: change(manifest["packs"]))
    with pytest.raises(UpsDataError, match=line):
        Manifest.load(tmp_path / "d")
