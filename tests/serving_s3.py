"""An S3 server on a loopback port, moto's, for tests that write to a store."""

import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Yields what a store needs to reach it. Skips the test if moto is not installed."""
    moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[s3]' flask flask-cors")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "endpoint": f"http://{host}:{port}",
            "access_key_id": "a",
            "secret_access_key": "b",
            "region": "us-east-1",
        }
    finally:
        server.stop()


def new_bucket(options: dict[str, str]) -> str:
    """The URL of a new bucket."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{options['endpoint']}/{bucket}", method="PUT"))
    return f"s3://{bucket}"


def environment(options: dict[str, str]) -> dict[str, str]:
    """The same for obstore in another process."""
    return {f"AWS_{name.upper()}": value for name, value in options.items()} | {"AWS_ALLOW_HTTP": "true"}
