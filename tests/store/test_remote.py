"""Stores behind a URL: real HTTP with ranges, and an S3 server."""

import logging
import pickle
import threading
import urllib.request
import uuid

import numpy as np
import pytest

from tests.store.contract import OBJECTS, A, StoreContract, wanted
from tests.store.reading import contents, digests, write_blocks
from tests.store.serving import RangeServer, Reply
from ups_data import QueryLoader, UpsDataError
from ups_data.errors import StoreError
from ups_data.loader.options import LoaderOptions
from ups_data.reading.window.budget import Budget
from ups_data.store.memory import MemoryStore
from ups_data.store.object_store import ObjectStore
from ups_data.store.openings.making import make_openings
from ups_data.store.remote.gate import DEFAULT_IN_FLIGHT
from ups_data.store.remote.joining import join
from ups_data.store.remote.store import RemoteStore
from ups_data.store.root import open_store
from ups_data.store.verify import verify_dataset
from ups_data.training.config import TrainConfig

SECRET = "hush-0123456789"


class TestHttp(StoreContract):
    """Every request goes through a socket."""

    @pytest.fixture(autouse=True)
    def servers(self):
        self._servers: list[RangeServer] = []
        yield
        for server in self._servers:
            server.__exit__()

    def filled(self, objects, folder) -> ObjectStore:
        self._servers.append(RangeServer(dict(objects)).__enter__())
        return RemoteStore(self._servers[-1].url)


@pytest.fixture(scope="module")
def s3():
    """An S3 server on a loopback port, and what a store needs to reach it."""
    pytest.importorskip("flask_cors", reason="needs moto's server: pip install 'moto[s3]' flask flask-cors")
    moto = pytest.importorskip("moto.server", reason="needs moto's server: pip install 'moto[s3]' flask flask-cors")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {"endpoint": f"http://{host}:{port}", "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    server.stop()


def s3_store(options, objects) -> RemoteStore:
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{options['endpoint']}/{bucket}", method="PUT"))
    store = RemoteStore(f"s3://{bucket}/run", options)
    for key, data in objects.items():
        store.put(key, data)
    return store


class TestS3(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, s3, monkeypatch):
        # Another process gets credentials from its environment: they leave no process in a pickle.
        for name, value in s3.items():
            monkeypatch.setenv(f"AWS_{name.upper()}", value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        self.options = s3

    def filled(self, objects, folder) -> ObjectStore:
        return s3_store(self.options, objects)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote") / "d"
    write_blocks(folder)
    return folder


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_batches_are_the_same_wherever_a_dataset_lies(tmp_path, s3, codec):
    write_blocks(tmp_path / "d", codec=codec)
    expected = digests(tmp_path / "d")
    objects = contents(tmp_path / "d")
    with RangeServer(tmp_path / "d") as server:
        roots = [server.url, f"file://{tmp_path}/d", MemoryStore(objects), s3_store(s3, objects)]
        for root in roots:
            for threads in (0, 2):
                assert digests(root, threads=threads) == expected, root
        for limit in (0, 1, 2000):
            assert digests(server.url, prefetch_bytes=limit, threads=2) == expected
        assert digests(server.url, sampling=0.5, num_workers=2) == digests(tmp_path / "d", sampling=0.5)


def test_a_run_goes_on_from_another_store(dataset, s3):
    given = {"split": "train", "batch_size": 4, "sampling": 0.25, "threads": 1}
    with RangeServer(dataset) as server:
        first, whole = QueryLoader(server.url, **given), QueryLoader(dataset, **given)
        expected = [batch.target_queries.index for _ in range(2) for batch in whole]
        taken = iter(first)
        next(taken)
        state = first.state_dict()
        taken.close()
        second = QueryLoader(s3_store(s3, contents(dataset)), **given)
        second.load_state_dict(state)
        found = [batch.target_queries.index for batch in second]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected[1 : len(whole)], strict=True))


def test_reading_ahead_crosses_the_end_of_an_epoch(dataset):
    """The store is asked for the next epoch's blocks before this one's last batch is taken."""
    with RangeServer(dataset) as server:
        loader = QueryLoader(server.url, split="train", batch_size=4, sampling=0.25, threads=0, pool_bytes=0)
        batches = iter(loader)
        for _ in range(len(loader)):
            next(batches)
        before = loader.stats.requests
        assert next(batches, None) is None
        list(loader)
        ahead = QueryLoader(server.url, split="train", batch_size=4, sampling=0.25, threads=0, prefetch_bytes=0)
        list(ahead)
        assert before > ahead.stats.requests


def test_bytes_are_reserved_in_the_order_in_which_they_are_needed():
    budget, order = Budget(100), []

    def reserve(ticket: int, size: int) -> threading.Thread:
        def wait() -> None:
            if budget.reserve(ticket, size, lambda: False):
                order.append((ticket, budget.held))

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    first, large, small = (budget.ticket() for _ in range(3))
    reserve(first, 60).join()
    threads = [reserve(small, 10), reserve(large, 60)]
    assert order == [(first, 60)]  # the small one has room, but is needed later than the large one
    budget.hurry(large)
    threads[1].join()
    assert order == [(first, 60), (large, 120)]
    budget.give_back(120)
    threads[0].join()
    assert order[2:] == [(small, 10)]


def test_a_dataset_opens_in_a_few_requests(dataset):
    with RangeServer(dataset) as server:
        store = RemoteStore(server.url)
        next(iter(QueryLoader(store, split="train", batch_size=4, sampling=0.25, threads=0, prefetch_bytes=0)))
        opening = [asked for asked in server.asked if "/fields/" not in asked.key]
        assert {asked.method for asked in server.asked} == {"GET"}
        assert len(opening) <= 6
        assert not [asked for asked in server.asked if asked.key.endswith("json")][1:]  # but the manifest


@pytest.mark.parametrize("spoil", ["missing", "damaged", "cut", "older"])
def test_an_opening_that_cannot_be_used_is_no_harm(tmp_path, spoil):
    write_blocks(tmp_path / "d")
    expected, path = digests(tmp_path / "d"), tmp_path / "d/openings/train.bin"
    data = bytearray(path.read_bytes())
    if spoil == "older":
        write_blocks(tmp_path / "other", blocks=16)
        data = bytearray((tmp_path / "other/openings/train.bin").read_bytes())
    data[len(data) // 2] ^= spoil == "damaged"
    path.write_bytes(data[: 40 if spoil == "cut" else len(data)])
    if spoil == "missing":
        path.unlink()
    with RangeServer(tmp_path / "d") as server:
        assert digests(server.url) == expected


def test_older_datasets_get_their_openings(tmp_path):
    write_blocks(tmp_path / "d")
    path = tmp_path / "d/openings/train.bin"
    data, before = path.read_bytes(), contents(tmp_path / "d")
    path.unlink()
    assert make_openings(tmp_path / "d") == {"train": len(data)}
    assert contents(tmp_path / "d") == before


def test_a_dataset_on_a_web_server_is_verified(dataset):
    objects = contents(dataset)
    (key,) = [key for key in objects if "fields/u/c/" in key]
    with RangeServer(objects) as server:
        assert verify_dataset(server.url) == []
        objects[key] = objects[key][:-1] + b"x"
        assert verify_dataset(server.url)
        del objects[key]
        assert any("is missing" in damage.reason for damage in verify_dataset(server.url))


def test_neighbours_are_joined_and_nothing_between_them_is_read():
    rng = np.random.default_rng(0)
    for _ in range(200):
        start = rng.integers(0, 400, rng.integers(1, 30))
        stop = start + rng.integers(1, 40, len(start))
        gap, most = int(rng.integers(0, 20)), int(rng.integers(1, 100))
        joined = join(start, stop, gap=gap, most=most)
        assert (joined.start[joined.request] + joined.offset == start).all()
        assert (joined.stop[joined.request] >= stop).all()
        free = join(start, stop, gap=0)
        covered = {at for a, b in zip(free.start, free.stop, strict=True) for at in range(a, b)}
        assert covered == {at for a, b in zip(start, stop, strict=True) for at in range(a, b)}
        assert (free.start[1:] > free.stop[:-1]).all()
        assert (joined.stop - joined.start <= max(most, 0) + 40 + gap).all()


def test_many_requests_are_in_flight_and_no_more_than_allowed(dataset):
    data = {"x": bytes(200_000)}
    with RangeServer(data, latency=0.2) as server:
        store = RemoteStore(server.url)
        start = np.arange(0, 200_000, 500)
        store.get_ranges([(store.open("x", 200_000), start, start + 10)])
        assert 60 < server.most_at_once <= DEFAULT_IN_FLIGHT < len(start)


def test_no_secret_is_shown(dataset, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    options = {"default_headers": {"Authorization": SECRET}, "user_agent": "plain"}
    with RangeServer(dataset) as server:
        loader = QueryLoader(server.url, split="train", batch_size=4, sampling=0.25, store_options=options)
        next(iter(loader))
        config = TrainConfig(data={"root": server.url, "store_options": options})
        server.fault = lambda asked: Reply(403)
        with pytest.raises(UpsDataError) as error:
            list(QueryLoader(server.url, loader.options, seed=1))
        with pytest.raises(UpsDataError) as wrong:
            RemoteStore("s3://bucket/x", {"no_such_option": SECRET})
        with pytest.raises(UpsDataError) as in_url:
            RemoteStore(f"https://user:{SECRET}@example.org/x")
        with pytest.raises(UpsDataError) as query:
            RemoteStore(f"https://example.org/x?sig={SECRET}")
        shown = [caplog.text, repr(loader), repr(loader.options), str(loader.state_dict()), repr(config), config]
        shown += [config.model_dump_json(), repr(loader.dataset.source.root), str(error.value), str(wrong.value)]
        shown += [str(in_url.value), str(query.value)]
        pickles = [loader, loader.options, loader.dataset.source.root, config, loader.dataset.source]
        shown += [pickle.dumps(each).decode("latin-1") for each in pickles]
        assert not [text for text in shown if SECRET in str(text)]
        assert "credentials" in str(error.value)
        again = pickle.loads(pickle.dumps(loader.options))
        assert dict(again.store_options) == {"user_agent": "plain"}
        assert again.store_options.dropped


def test_worker_processes_get_the_secrets(dataset):
    """Through the pipe that starts them: the server lets nobody in without."""
    with RangeServer(dataset) as server:
        server.needs = ("Authorization", SECRET)
        options = {"default_headers": {"Authorization": SECRET}}
        assert digests(server.url, store_options=options, num_workers=1) == digests(dataset)
        with pytest.raises(UpsDataError, match="credentials"):
            digests(server.url)


def test_options_are_read_from_a_configuration():
    options = LoaderOptions(split="train", batch_size=1, sampling=0.1, store_options={"region": "eu", "token": SECRET})
    assert repr(options.store_options) == "{'region': 'eu', 'token': '***'}"
    assert options.identity() == LoaderOptions(split="train", batch_size=1, sampling=0.1).identity()
    with pytest.raises(UpsDataError, match="no mapping"):
        LoaderOptions(split="train", batch_size=1, sampling=0.1, store_options=SECRET)


def test_a_url_of_nothing_is_refused():
    with pytest.raises(UpsDataError, match="names no bucket"):
        open_store("s3://")
    with RangeServer({}) as server, pytest.raises(UpsDataError, match="no dataset here"):
        QueryLoader(server.url, split="train", batch_size=1, sampling=0.1)


def test_one_error_names_object_and_range():
    with RangeServer(OBJECTS) as server:
        store = RemoteStore(server.url, timeout=1.0)
        server.fault = lambda asked: Reply(500)
        with pytest.raises(StoreError, match=rf"{server.url}/{A}, bytes 5 to 9: .* 500 .* attempts"):
            store.get_ranges([wanted(store, A, [(5, 9)])])
        assert store.counts().retries == len(server.asked) - 1 > 0
