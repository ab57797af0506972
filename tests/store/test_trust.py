"""A dataset may come from anywhere: nothing in it runs code, leaves its folder, or is allocated on its word."""

import ast
import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.datasets import edit_manifest, write_grid
from tests.processes import make_device, seconds
from tests.writing.arrays import shards_of
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.schema import MANIFEST
from ups_data.schema.trajectories import SEAL
from ups_data.store.arrays.opening import open_array
from ups_data.store.sealing import file_digest
from ups_data.store.verify import verify_dataset

PACKAGE = Path(__file__).parents[2] / "ups_data"


def stream(root):
    return list(QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(ratio=0.5), threads=0))


@pytest.fixture
def root(tmp_path):
    write_grid(tmp_path / "d")
    return tmp_path / "d"


def refused(root, says):
    """By streaming, in one line; verifying reports it too."""
    with pytest.raises(UpsDataError, match=says) as error:
        stream(root)
    assert "\n" not in str(error.value)
    assert verify_dataset(root) != []


def test_nothing_unpickles():
    """No call that could, but those that were told not to."""
    # Between a loader and the processes that it started, by pipes of theirs alone.
    by_pipes = [PACKAGE / "engine/processes" / name for name in ("worker.py", "wire.py")]
    # Between a command and the workers of its Dask cluster, who unpickle whatever its scheduler sends.
    by_pipes.append(PACKAGE / "conversion/cluster/task.py")
    modules = list(PACKAGE.rglob("*.py"))
    assert set(by_pipes) < set(modules)
    for path in modules:
        if path in by_pipes:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None)
                names = {a.name for a in node.names} if module is None else {module}
                assert not names & {"dill", "cloudpickle", "joblib", "shelve", "marshal", "_pickle"}, path
                if module == "pickle":
                    assert {a.name for a in node.names} <= {"UnpicklingError"}, path
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in ("np.load", "numpy.load"):
                assert options.get("allow_pickle", "False") == "False", path
            if called == "torch.load":
                assert options.get("weights_only") == "True", path
            wrong = {"pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "yaml.unsafe_load", "eval", "exec"}
            assert called not in wrong, f"{path}: {called}"


@pytest.mark.parametrize("what", ["", "fields/u/c/0/0/0/0", "fields/u/zarr.json", SEAL, "trajectories/time"])
def test_links_may_not_leave_the_dataset(root, tmp_path, what):
    path = root / "train/shard-000000.zarr" / what
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused(root, "is a link that leaves the dataset")


def test_the_manifest_may_be_no_link_out_of_the_dataset(root, tmp_path):
    (root / MANIFEST).rename(tmp_path / "elsewhere")
    (root / MANIFEST).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UpsDataError, match="is a link that leaves the dataset"):
        stream(root)
    (tmp_path / "elsewhere").rename(root / "inside")
    (root / MANIFEST).unlink()
    (root / MANIFEST).symlink_to("inside")
    assert len(stream(root)) > 0


@pytest.mark.parametrize("what", ["fields/u/c/0/0/0/0", "fields/u/zarr.json", SEAL, "trajectories/time/c/0", MANIFEST])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_only_regular_files_are_read(root, what, kind):
    """At once: a read that waits is ended here."""
    path = root / MANIFEST if what == MANIFEST else root / "train/shard-000000.zarr" / what
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        make_device(path)

    with seconds(20):
        for read in (stream, verify_dataset):
            if read is stream or what == MANIFEST:
                with pytest.raises(UpsDataError, match=f"{path} .*not a regular file|{path}: .*not a regular file"):
                    read(root)
            else:
                assert verify_dataset(root) != []


def test_links_inside_the_dataset_may_lead_anywhere(root):
    shutil.move(root / "train/shard-000000.zarr", root / "moved.zarr")
    (root / "train/shard-000000.zarr").symlink_to(root / "moved.zarr")
    assert len(stream(root)) > 0
    assert verify_dataset(root) == []


def test_the_dataset_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert len(stream(tmp_path / "link")) > 0


def edited(root, array, change):
    """An array's metadata, changed, and the dataset sealed by whoever did that."""
    shard = root / "train/shard-000000.zarr"
    file, seal = shard / array / "zarr.json", json.loads((shard / SEAL).read_text())
    metadata = json.loads(file.read_text())
    change(metadata)
    file.write_text(json.dumps(metadata))
    seal["files"][f"{array}/zarr.json"] = [file.stat().st_size, file_digest(file)]
    (shard / SEAL).write_text(json.dumps(seal))
    digest = f"sha256:{file_digest(shard / SEAL)}"
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(digest=digest))


def larger(metadata):
    metadata["shape"][0] = 2**50


def larger_chunks(metadata):
    for place in (metadata["chunk_grid"], metadata["codecs"][0]):
        place["configuration"]["chunk_shape"][0] = 2**40


def larger_chunk_of_a_table(metadata):
    metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 2**50


def pickled(metadata):
    metadata["codecs"][0]["configuration"]["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]


def objects_of_python(metadata):
    metadata["data_type"] = "object"


def unknown_layout(metadata):
    metadata["chunk_grid"]["name"] = "hexagonal"


@pytest.mark.parametrize(
    ("array", "change"),
    [
        *(("fields/u", c) for c in (larger, larger_chunks, pickled, objects_of_python, unknown_layout)),
        *(("trajectories/time", c) for c in (larger, larger_chunk_of_a_table, objects_of_python, unknown_layout)),
    ],
)
def test_metadata_are_checked_before_memory_is_taken(root, array, change):
    edited(root, array, change)
    tracemalloc.start()
    try:
        refused(root, array.replace("fields/u", "field 'u'"))
        assert tracemalloc.get_traced_memory()[1] < 50 * 1024**2
    finally:
        tracemalloc.stop()


def test_codecs_that_could_do_more_than_decode_are_not_run(tmp_path):
    zarr.create_array(tmp_path / "a", data=np.zeros((4, 4), np.float32), compressors=None)
    metadata = json.loads((tmp_path / "a/zarr.json").read_text())
    metadata["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
    (tmp_path / "a/zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(UpsDataError, match=r"is coded by \['numcodecs.pickle'\]"):
        open_array(tmp_path / "a", where="here")


def test_an_intact_seal_of_another_kind(root):
    (shard,) = shards_of(root)
    assert set(shard.seal.chunks) == {"fields/u"}
    path = root / "train/shard-000000.zarr" / SEAL
    for text in ("{}", "[" * 10_000, '{"version": 1, "arrays": {"fields/u": "?"}, "files": {}}'):
        path.write_text(text)
        refused(root, "is not the one that the manifest lists")
