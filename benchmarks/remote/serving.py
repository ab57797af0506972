"""A web server with latency on this machine: nginx where it is installed with its Lua module, else Python's asyncio.

Every request waits `latency` seconds before its first byte, as an object store does, while others go on.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

MODULES = Path("/usr/lib/nginx/modules")
CONF = """load_module {modules}/ndk_http_module.so; load_module {modules}/ngx_http_lua_module.so;
worker_processes 1; daemon off; pid {tmp}/pid; error_log {tmp}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  log_format short '$request_method $uri $http_range $status $body_bytes_sent'; access_log {tmp}/access.log short;
  sendfile on; keepalive_requests 10000000; keepalive_timeout 600;
  client_body_temp_path {tmp}/b; proxy_temp_path {tmp}/p; fastcgi_temp_path {tmp}/f; uwsgi_temp_path {tmp}/u;
  scgi_temp_path {tmp}/s;
  server {{
    listen 127.0.0.1:{port}; root {root}; location / {{ access_by_lua_block {{ ngx.sleep({latency}) }} }}
  }}
}}
"""


@contextlib.contextmanager
def serve(root: Path, latency: float) -> Iterator[tuple[str, Path]]:
    """Yields the URL and the log: method, path, range or `-`, status, bytes of each request."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tmp = Path(tempfile.mkdtemp(prefix="slow-store-"))
    if shutil.which("nginx") and (MODULES / "ngx_http_lua_module.so").exists():
        user = "user root;" if os.getuid() == 0 else ""
        conf = CONF.format(modules=MODULES, tmp=tmp, user=user, port=port, root=root.resolve(), latency=latency)
        (tmp / "nginx.conf").write_text(conf)
        command = ["nginx", "-c", str(tmp / "nginx.conf"), "-e", str(tmp / "error.log")]
    else:
        given = [str(root.resolve()), str(latency), str(port), str(tmp / "access.log")]
        command = [sys.executable, "-m", "benchmarks.remote.serving", *given]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", tmp / "access.log"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(tmp, ignore_errors=True)


async def _answer(
    root: Path, latency: float, log: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Requests of one connection."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
            await asyncio.sleep(latency)
            file = root / unquote(path).lstrip("/")
            if not file.is_file():
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            size, wanted, status = file.stat().st_size, headers.get("range"), "200 OK"
            start, stop, extra = 0, size, ""
            if wanted:
                low, _, high = wanted.removeprefix("bytes=").partition("-")
                start, stop, status = int(low), min(size, int(high or size - 1) + 1), "206 Partial Content"
                extra = f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {stop - start}\r\n\r\n".encode())
            if method == "GET":
                with open(file, "rb") as opened:
                    writer.write(os.pread(opened.fileno(), stop - start, start))
            os.write(log, f"{method} {path} {wanted or '-'} {status[:3]} {stop - start}\n".encode())
            await writer.drain()
    writer.close()


async def _main(root: str, latency: str, port: str, log: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.start_server(lambda r, w: _answer(Path(root), float(latency), out, r, w), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
