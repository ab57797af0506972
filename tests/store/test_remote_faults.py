"""A store that misbehaves: every fault ends in the right batches, or in one error that names object and range."""

import re
import time
from collections.abc import Callable
from email.utils import formatdate

import numpy as np
import pytest

from tests.store.reading import digests, write_blocks
from tests.store.serving import Asked, RangeServer, Reply
from ups_data import QueryLoader, UpsDataError
from ups_data.store.remote.store import RemoteStore

RIGHT = "the right batches"
Fault = Callable[[RangeServer, Asked], Reply]


def part(server: RangeServer, asked: Asked) -> bytes:
    """What was asked for."""
    data = server.find(asked.key) or b""
    return data if asked.start is None else data[asked.start : asked.stop]


def flipped(server: RangeServer, asked: Asked) -> Reply:
    data = bytearray(part(server, asked))
    data[len(data) // 2] ^= 1
    return Reply(body=bytes(data))


def others(server: RangeServer, asked: Asked) -> Reply:
    """As many bytes, of another place."""
    return Reply(body=part(server, asked)[::-1])


# Fault, and how it ends if every request for chunks meets it. If only some do, the batches are right, but for `ALWAYS`.
FAULTS: dict[str, tuple[Fault, str]] = {
    "500": (lambda server, asked: Reply(500, b"no"), r"bytes \d+ to \d+: .* 500"),
    "503": (lambda server, asked: Reply(503, b"no"), r"bytes \d+ to \d+: .* 503"),
    "503 with Retry-After": (
        lambda server, asked: Reply(503, b"no", headers={"Retry-After": "1"}),
        r"bytes \d+ to \d+: .*503",
    ),
    "503 until a date": (
        lambda server, asked: Reply(503, b"no", headers={"Retry-After": formatdate(time.time() + 1, usegmt=True)}),
        r"bytes \d+ to \d+: .* 503",
    ),
    "429": (lambda server, asked: Reply(429, b"no"), r"bytes \d+ to \d+: .* 429"),
    "reset": (lambda server, asked: Reply(cut=len(part(server, asked)) // 2), r"bytes \d+ to \d+: .* closed"),
    "short": (lambda server, asked: Reply(body=part(server, asked)[:-1]), r"bytes \d+ to \d+: .* bytes came"),
    "long": (lambda server, asked: Reply(body=part(server, asked) + b"more"), RIGHT),
    "range ignored": (lambda server, asked: Reply(200, server.find(asked.key)), r"bytes \d+ to \d+: .* whole object"),
    "flipped": (flipped, "damaged"),
    "another's bytes": (others, "damaged"),
    "404": (lambda server, asked: Reply(404, b"no"), "fields/.* is missing"),
    "403": (lambda server, asked: Reply(403, b"no"), r"bytes \d+ to \d+: .* 403 .* credentials"),
    "silent": (lambda server, asked: Reply(silent=True), r"bytes \d+ to \d+: .* no answer"),
}
ALWAYS = ("404", "403")  # no other attempt is made


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "d"
    write_blocks(folder)
    return folder, digests(folder)


def faulty(server: RangeServer, fault: Fault, meets: Callable[[int], bool]) -> None:
    """Have the requests for chunks of fields, counted from 0, meet the fault where `meets` says so."""
    numbers = iter(range(10**9))
    server.fault = lambda a: fault(server, a) if "/fields/" in a.key and a.start and meets(next(numbers)) else None


def in_time(server: RangeServer, *, seconds: float, timeout: float, **options: object) -> list[str]:
    begun = time.monotonic()
    try:
        return digests(RemoteStore(server.url, timeout=timeout), pool_bytes=0, **options)
    finally:
        assert time.monotonic() - begun < seconds


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {*ALWAYS}))
def test_a_fault_now_and_then_is_overcome(dataset, name):
    folder, expected = dataset
    fault, _ = FAULTS[name]
    with RangeServer(folder) as server:
        faulty(server, fault, lambda number: number % 5 == 1)
        store = RemoteStore(server.url, timeout=8.0)
        assert digests(store, pool_bytes=0, threads=1) == expected
        assert store.counts().retries > 0 or name == "long"
        assert store.counts().requests >= len(server.asked)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_stays_is_one_error_in_time(dataset, name):
    folder, expected = dataset
    fault, message = FAULTS[name]
    with RangeServer(folder) as server:
        faulty(server, fault, lambda number: True)
        if message == RIGHT:
            assert in_time(server, seconds=30, timeout=1.0, threads=1) == expected
            return
        with pytest.raises(UpsDataError, match=message) as error:
            in_time(server, seconds=30, timeout=1.0, threads=1)
        assert server.url in str(error.value)
        assert "\n" not in str(error.value)


def test_an_object_that_is_replaced_in_mid_epoch_is_found(dataset, tmp_path):
    folder, _ = dataset
    objects = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with RangeServer(objects) as server:
        loader = QueryLoader(server.url, split="train", batch_size=2, sampling=0.5, prefetch_bytes=1, pool_bytes=0)
        batches = iter(loader)
        next(batches)
        (key,) = [key for key in objects if "fields/u/c/" in key]
        objects[key] = bytes(len(objects[key]))
        with pytest.raises(UpsDataError, match="field 'u', rows .* damaged"):
            list(batches)


def test_a_name_that_nobody_knows_is_an_error_at_once():
    begun = time.monotonic()
    with pytest.raises(UpsDataError, match=r"nowhere\.invalid/x/dataset\.json: cannot be read, the server was not"):
        QueryLoader("http://nowhere.invalid/x", split="train", batch_size=1, sampling=0.1)
    assert time.monotonic() - begun < 30


def test_damaged_samples_are_left_out_where_a_store_has_them(dataset):
    folder, _ = dataset
    objects = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    (key,) = [key for key in objects if "fields/u/c/" in key]
    objects[key] = b"\1" + objects[key][1:]
    with RangeServer(objects) as server:
        given = {"split": "train", "batch_size": 4, "sampling": 0.5, "on_damage": "skip", "pool_bytes": 0}
        found = [batch.num_valid for batch in QueryLoader(server.url, threads=1, prefetch_bytes=0, **given)]
        assert [batch.num_valid for batch in QueryLoader(server.url, threads=1, **given)] == found
        assert sum(found) < 4 * len(found)
        server.fault = lambda asked: Reply(500, b"no") if "/fields/" in asked.key else None
        with pytest.raises(UpsDataError, match="500"):  # which is no damage
            list(QueryLoader(RemoteStore(server.url, timeout=0.5), threads=1, **given))


def test_a_slow_request_is_sent_twice():
    data = {"x": bytes(range(256)) * 40}
    with RangeServer(data) as server:
        store = RemoteStore(server.url, timeout=20.0)
        opened, one = store.open("x", 10240), np.array([0])
        for _ in range(40):
            store.get_ranges([(opened, one, one + 10)])
        first = len(server.asked)
        server.fault = lambda asked: Reply(silent=True) if asked.number == first else None
        begun = time.monotonic()
        assert bytes(store.get_ranges([(opened, one, one + 10)]).body(0)) == data["x"][:10]
        assert time.monotonic() - begun < 9  # an attempt alone may take 10
        assert store.counts().retries == 1


def test_a_store_that_refuses_gets_fewer_requests_at_once():
    with RangeServer({"x": bytes(100_000)}, latency=0.02) as server:
        store = RemoteStore(server.url, timeout=20.0)
        opened, start = store.open("x", 100_000), np.arange(0, 100_000, 500)
        server.fault = lambda asked: Reply(503, b"no") if asked.number < 50 else None
        gate = store._requests.gate
        store.get_ranges([(opened, start, start + 10)])
        assert gate.limit < gate.most
        assert store.counts().retries >= 50


def test_a_store_is_left_alone_for_as_long_as_it_asks():
    with RangeServer({"x": bytes(1000)}) as server:
        store, times = RemoteStore(server.url, timeout=20.0), []

        def fault(asked: Asked) -> Reply | None:
            times.append(time.monotonic())
            return Reply(503, b"no", headers={"Retry-After": "2"}) if len(times) < 3 else None

        server.fault = fault
        store.get_ranges([(store.open("x", 1000), np.array([0]), np.array([10]))])
        assert times[2] - times[1] >= 2


@pytest.mark.faults
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("seed", range(14))
@pytest.mark.parametrize("name", FAULTS)
def test_faults_at_length(dataset, name, seed, threads):
    """Some in ten requests meet the fault, drawn anew for each seed."""
    folder, expected = dataset
    fault, message = FAULTS[name]
    rng = np.random.default_rng(seed)
    chosen = rng.random(10_000) < rng.uniform(0.02, 0.5)
    with RangeServer(folder) as server:
        faulty(server, fault, lambda number: bool(chosen[number]))
        try:
            ended = in_time(server, seconds=120, timeout=10.0, threads=threads) == expected
        except UpsDataError as error:
            told = str(error)  # one attempt that is sent twice may take all of the time
            known = name in ALWAYS or "attempts" in told or "damaged" in told or re.search(message, told)
            assert known, told
            ended = server.url in told
        assert ended
