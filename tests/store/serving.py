"""A web server with byte ranges on a loopback port, which counts what it serves and misbehaves if it is told to."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass(frozen=True)
class Asked:
    """A request: `start` and `stop` are None if it is of the whole object."""

    number: int
    method: str
    key: str
    start: int | None
    stop: int | None


@dataclass
class Reply:
    """What is answered instead of what was asked for.

    Attributes:
        status: None: as it should be.
        body: None: the bytes that were asked for.
        announced: the content length that the header says, if it is not the body's.
        headers: further ones.
        wait: seconds before the first byte.
        cut: so many bytes of the body are sent, and then the connection is reset.
        silent: nothing is ever answered.
    """

    status: int | None = None
    body: bytes | None = None
    announced: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: int | None = None
    silent: bool = False


class RangeServer:
    """Serves a folder, or a mapping of keys to bytes.

        with RangeServer(folder, latency=0.03) as server:
            RemoteStore(server.url)
            assert server.bytes < 1000

    Attributes:
        asked: every request so far.
        bytes: of all bodies that were sent.
        fault: is asked about every request; None: it is answered as it should be.
        needs: a header, and what it must say: everything else is answered with 403.
    """

    def __init__(self, content: Path | Mapping[str, bytes], *, latency: float = 0.0) -> None:
        self.content, self.latency = content, latency
        self.asked: list[Asked] = []
        self.bytes = 0
        self.at_once = self.most_at_once = 0
        self.needs: tuple[str, str] | None = None
        self.fault: Callable[[Asked], Reply | None] = lambda asked: None
        self._lock, self._leave = threading.Lock(), threading.Event()

    def __enter__(self) -> "RangeServer":
        outer = self

        class Handler(_Handler):
            server_of = outer

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size, block_on_close = True, 512, False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients may leave

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave.set()
        self._server.shutdown()
        self._server.server_close()

    def find(self, key: str) -> bytes | None:
        if isinstance(self.content, Path):
            path = self.content / key
            return path.read_bytes() if path.is_file() else None
        return self.content.get(key)

    def count(self, asked: tuple[str, str, int | None, int | None]) -> Asked:
        with self._lock:
            one = Asked(len(self.asked), *asked)
            self.asked.append(one)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        return one

    def done(self, size: int) -> None:
        with self._lock:
            self.bytes += size
            self.at_once -= 1

    def sleep(self, seconds: float) -> None:
        if seconds:
            time.sleep(seconds)

    def wait_for_the_end(self) -> None:
        self._leave.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_of: RangeServer

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server = self.server_of
        key = unquote(self.path.partition("?")[0]).lstrip("/")
        start, stop = _bounds(self.headers.get("Range"))
        asked = server.count((self.command, key, start, stop))
        sent = 0
        try:
            reply = server.fault(asked) or Reply()
            if server.needs is not None and self.headers.get(server.needs[0]) != server.needs[1]:
                reply = Reply(403, b"no")
            server.sleep(server.latency + reply.wait)
            if reply.silent:
                server.wait_for_the_end()
                self.close_connection = True
                return
            sent = self._send(server.find(key), asked, reply)
        finally:
            server.done(sent)

    def _send(self, data: bytes | None, asked: Asked, reply: Reply) -> int:
        headers = {"Last-Modified": formatdate(0, usegmt=True), **reply.headers}
        if data is None:
            status, body = 404, b"not here"
        elif asked.start is None:
            status, body = 200, data
        elif asked.start >= len(data):
            status, body = 416, b""
        else:
            stop = min(len(data), asked.stop if asked.stop is not None else len(data))
            status, body = 206, data[asked.start : stop]
            headers["Content-Range"] = f"bytes {asked.start}-{stop - 1}/{len(data)}"
        if data is not None:
            headers.setdefault("ETag", f'"{md5(data).hexdigest()}"')
        status = reply.status or status
        body = reply.body if reply.body is not None else body
        if status != 206:
            headers.pop("Content-Range", None)
        self.send_response(status)
        announced = len(body) if reply.announced is None else reply.announced
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        if self.command == "HEAD":
            return 0
        part = body if reply.cut is None else body[: reply.cut]
        self.wfile.write(part)
        if reply.cut is not None:
            self.wfile.flush()
            with contextlib.suppress(OSError):  # a reset, not an orderly end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = self.close_connection or reply.cut is not None or announced != len(body)
        return len(part)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _bounds(text: str | None) -> tuple[int | None, int | None]:
    if not text or not text.startswith("bytes="):
        return None, None
    first, _, last = text.removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else None


@contextlib.contextmanager
def served(content: Path | Mapping[str, bytes], **options: float) -> Iterator[RangeServer]:
    """A server as long as it is needed."""
    with RangeServer(content, **options) as server:
        yield server
