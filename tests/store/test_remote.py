"""Stores behind a URL: real HTTP with ranges, and an S3 server."""

import urllib.request
import uuid

import pytest

from tests.store.contract import StoreContract
from tests.store.serving import RangeServer
from ups_data.store.remote.store import RemoteStore


class TestHttp(StoreContract):
    """Every request goes through a socket."""

    @pytest.fixture(autouse=True)
    def servers(self):
        self._servers: list[RangeServer] = []
        yield
        for server in self._servers:
            server.__exit__()

    def filled(self, objects, folder):
        self._servers.append(RangeServer(dict(objects)).__enter__())
        return RemoteStore(self._servers[-1].url)


@pytest.fixture(scope="module")
def s3():
    """An S3 server on a loopback port, and what a store needs to reach it."""
    moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[s3]' flask flask-cors")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {"endpoint": f"http://{host}:{port}", "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    server.stop()


class TestS3(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, s3, monkeypatch):
        # Another process gets credentials from its environment: they leave no process in a pickle.
        for name, value in s3.items():
            monkeypatch.setenv(f"AWS_{name.upper()}", value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        self.options = s3

    def filled(self, objects, folder):
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        urllib.request.urlopen(urllib.request.Request(f"{self.options['endpoint']}/{bucket}", method="PUT"))
        store = RemoteStore(f"s3://{bucket}/run", self.options)
        for key, data in objects.items():
            store.put(key, data)
        return store
