"""A cache before a real server: what it asks for, what a failing server does to it, and no secret in it."""

import pytest

from tests.store.reading import digests, write_blocks
from tests.store.serving import Reply, served
from ups_data import UpsDataError

SECRET = "hush-0123456789"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("http") / "d"
    write_blocks(root)
    return root


@pytest.fixture(scope="module")
def expected(dataset):
    return digests(dataset)


def chunk_requests(server):
    """Those for parts of objects of arrays."""
    return [asked for asked in server.asked if "/c/" in asked.key and asked.start is not None]


def test_a_second_run_asks_for_no_chunk(dataset, expected, tmp_path):
    with served(dataset) as server:
        assert digests(server.url, cache=tmp_path / "cache", threads=2) == expected
        assert chunk_requests(server)
        server.asked.clear()
        assert digests(server.url, cache=tmp_path / "cache", threads=0) == expected
        assert digests(server.url, cache=tmp_path / "cache", world_size=1, rank=0) == expected
        assert not [asked for asked in chunk_requests(server) if "/fields/" in asked.key]


def test_a_second_run_needs_no_server_for_what_it_has(dataset, expected, tmp_path):
    """Each chunk that fails comes out of the cache instead."""
    with served(dataset) as server:
        assert digests(server.url, cache=tmp_path / "cache") == expected
        server.fault = lambda asked: Reply(status=404) if "/fields/" in asked.key and "/c/" in asked.key else None
        assert digests(server.url, cache=tmp_path / "cache") == expected
        with pytest.raises(UpsDataError, match="missing|not there|cannot be read"):
            digests(server.url, cache=tmp_path / "other")


@pytest.mark.slow
def test_worker_processes_share_it(dataset, expected, tmp_path):
    with served(dataset) as server:
        for _ in range(2):
            assert digests(server.url, cache=tmp_path / "cache", num_workers=2) == expected


def test_no_secret_lies_in_a_cache(dataset, expected, tmp_path):
    options = {"access_key_id": SECRET, "secret_access_key": SECRET}
    with served(dataset) as server:
        url = server.url.replace("http://", f"http://user:{SECRET}@")
        for root, more in ((url, {}), (server.url, {"store_options": options})):
            try:
                digests(root, cache=tmp_path / "cache", **more)
            except UpsDataError as error:
                assert SECRET not in str(error)  # noqa: PT017, refused is as good
    for path in (tmp_path / "cache").rglob("*"):
        assert SECRET not in str(path)
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
