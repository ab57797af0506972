"""Digests that are made while files are written are those of the files."""

import hashlib

import numpy as np
import pytest

from ups_data import ShardWriter
from ups_data.schema.trajectories import SEAL
from ups_data.store.seal import StoredSeal
from ups_data.store.sealing import file_digest, file_names
from ups_data.writing.shard import array_writer
from ups_data.writing.shard.digests import Digests


def test_digests_of_what_was_told(tmp_path):
    data, path, digests = np.random.default_rng(0).bytes(3_000_000), tmp_path / "a", Digests()
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(data), 700_000):
            file.write(data[start : start + 700_000])
            digests.written(path, file.tell())
    (tmp_path / "b").write_bytes(b"xy")
    digests.written(tmp_path / "b", 2)
    assert digests.finish() == {
        path: (len(data), hashlib.sha256(data).hexdigest()),
        tmp_path / "b": (2, hashlib.sha256(b"xy").hexdigest()),
    }


def test_a_file_that_is_gone_or_short(tmp_path):
    digests = Digests()
    digests.written(tmp_path / "gone", 3)
    assert digests.finish() == {}
    (tmp_path / "short").write_bytes(b"xy")
    for _ in range(100):  # more than wait in turn: the writer is not kept waiting by the error
        digests.written(tmp_path / "short", 3)
    with pytest.raises(OSError, match="shorter"):
        digests.finish()


@pytest.mark.parametrize("options", [{}, {"blocks": 4}, {"codec": "lz4"}, {"blocks": 4, "pack": True}])
def test_a_shard_is_sealed_with_its_files_digests(tmp_path, options, monkeypatch):
    """Whatever was told of them, and however often."""
    monkeypatch.setattr(array_writer, "TOLD_BYTES", 1000)
    random = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d", **options) as writer:
        for points in (300, 200):
            fields = {name: random.standard_normal((5, points, 2)).astype(np.float32) for name in ("u", "v")}
            writer.add(fields, coords=random.random((points, 3)))
    seals = list(tmp_path.rglob(SEAL))
    assert seals
    for seal in seals:
        shard, files = seal.parents[2], StoredSeal.model_validate_json(seal.read_bytes()).files
        assert files == {name: ((shard / name).stat().st_size, file_digest(shard / name)) for name in file_names(shard)}
