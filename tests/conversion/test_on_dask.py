"""Conversions on a Dask cluster: the bytes of a conversion by this process alone, or one line and nothing left."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import digests
from tests.serving_s3 import environment, new_bucket, s3_server
from ups_data import UpsDataError
from ups_data.conversion.cluster.address import check_address
from ups_data.conversion.convert import convert
from ups_data.store.local import LocalStore
from ups_data.store.root import open_store

distributed = pytest.importorskip("distributed")
OPTIONS = {"blocks": 4, "shard_bytes": 9000, "split": {"train": 0.8, "valid": 0.2}}


@pytest.fixture(scope="module")
def cluster():
    """Two processes, started again if they are killed."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def source(tmp_path):
    """Files of a trajectory each, the third one damaged."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for number, u in enumerate(np.random.default_rng(0).standard_normal((6, 5, 8, 8, 3)).astype(np.float32)):
        if number == 2:
            u[3, 4, 4] = np.nan
        np.savez(folder / f"{number}.npz", u=u[None])
    return folder


def test_the_same_bytes_and_progress(cluster, source, monkeypatch):
    """Also of a source whose path is relative, which shards hold, and with what is left out."""
    monkeypatch.chdir(source.parent)
    convert("raw", "alone", on_error="skip", **OPTIONS)
    told = []
    convert(
        "raw",
        "d",
        on_error="skip",
        dask=cluster.scheduler_address,
        progress=lambda done, total: told.append((done, total)),
        **OPTIONS,
    )
    assert digests(Path("d")) == digests(Path("alone"))
    assert len(list(Path("d").glob("*/*.zarr"))) > 2
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)


def test_to_a_store(cluster, source, tmp_path):
    convert(source, tmp_path / "alone", on_error="skip", **OPTIONS)
    with s3_server() as options:
        url = f"{new_bucket(options)}/run"
        # Credentials are each process's own: they do not travel with the tasks.
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            client.run(os.environ.update, environment(options))
        options = {**options, "allow_http": "true"}
        convert(source, url, on_error="skip", dask=cluster.scheduler_address, store_options=options, **OPTIONS)
        store = open_store(url, options)
        found = {key: store.get(key, size) for key, size in store.list("")}
    local = LocalStore(tmp_path / "alone")
    assert found == {key: local.get(key, size) for key, size in local.list("")}


@pytest.mark.parametrize("missing", ["source", "out"])
def test_a_worker_that_cannot_reach_a_folder(cluster, tmp_path, monkeypatch, missing):
    """Every process sees its own folder at /proc/self/cwd."""
    np.save(tmp_path / "u.npy", np.ones((4, 2, 8, 8, 1), np.float32))
    monkeypatch.chdir(tmp_path)
    own, shared = Path("/proc/self/cwd"), tmp_path
    path, out = (own if missing == "source" else shared) / "u.npy", (own if missing == "out" else shared) / "d"
    with pytest.raises(UpsDataError, match="cannot reach it|is not in reach") as error:
        convert(path, out, shard_bytes=1, dask=cluster.scheduler_address)
    assert str(path if missing == "source" else out) in str(error.value)
    assert "the Dask worker tcp://" in str(error.value)
    assert os.listdir(tmp_path) == ["u.npy"]


def test_a_source_that_differs_there(cluster, source, tmp_path, monkeypatch):
    """A task looks at the files themselves; it is not told what the client saw."""
    monkeypatch.setattr("ups_data.conversion.fingerprint.Identity.digest", "another")
    with pytest.raises(UpsDataError, match="has other files there than the client"):
        convert(source, tmp_path / "d", on_error="skip", dask=cluster.scheduler_address, **OPTIONS)
    assert not (tmp_path / "d").exists()


def test_a_shard_that_cannot_be_stored(cluster, source, tmp_path):
    with pytest.raises(UpsDataError, match=r"3 values that are NaN or Inf") as error:
        convert(source, tmp_path / "d", dask=cluster.scheduler_address, **OPTIONS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["local:0", "local:x", "10.0.0.1:8786", "tcp://a\nb", "http://a"])
def test_addresses_that_are_none(address):
    with pytest.raises(UpsDataError, match="give a scheduler's address"):
        check_address(address)


def test_no_scheduler(tmp_path):
    np.save(tmp_path / "u.npy", np.ones((4, 2, 8, 8, 1), np.float32))
    with pytest.raises(UpsDataError, match="no Dask scheduler answers there"):
        convert(tmp_path / "u.npy", tmp_path / "d", dask="tcp://127.0.0.1:9", timeout=0.5)
    assert not (tmp_path / "d").exists()


@pytest.mark.faults
def test_no_worker(tmp_path):
    np.save(tmp_path / "u.npy", np.ones((4, 2, 8, 8, 1), np.float32))
    options = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        distributed.LocalCluster(**options) as empty,
        pytest.raises(UpsDataError, match="has had no worker for 1 s"),
    ):
        convert(tmp_path / "u.npy", tmp_path / "d", dask=empty.scheduler_address, timeout=1)
    assert not (tmp_path / "d").exists()
