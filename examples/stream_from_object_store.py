"""A dataset behind a URL, read by byte ranges: only the blocks that are drawn come over the network.

    python examples/stream_from_object_store.py [FOLDER]

Makes a small dataset in FOLDER and serves it on a port of this machine, as any web server that knows byte ranges does.
With a bucket it is the same, `QueryLoader("s3://bucket/run", …)`, with credentials in the environment.
"""

import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from ups_data import QueryLoader, QuerySampling, ShardWriter


class Ranges(SimpleHTTPRequestHandler):
    """Files of a folder, or the part of one that is asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a request."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start, stop = 0, len(data)
        if asked := self.headers["Range"]:
            start, last = map(int, asked.removeprefix("bytes=").split("-"))
            stop = min(last + 1, len(data))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        self.wfile.write(data[start:stop])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Clients may leave in the middle of an answer: the loader does, at its end."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def main(folder: Path) -> None:
    """Write, serve, read."""
    rng = np.random.default_rng(0)
    with ShardWriter(folder / "waves", blocks=64) as writer:
        for _ in range(4):
            writer.add({"height": rng.standard_normal((9, 256, 256, 1)).astype(np.float32)})
    server = Server(("127.0.0.1", 0), lambda *request: Ranges(*request, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loader = QueryLoader(
        f"http://127.0.0.1:{server.server_address[1]}/waves",
        split="train",
        batch_size=8,
        sampling=QuerySampling(mode="blocks", ratio=1 / 64),
        inputs=QuerySampling(mode="blocks", ratio=1 / 64),
        input_queries=False,
        prefetch_bytes=16 * 2**20,
    )
    for batch in loader:
        values = batch.target_queries.values["height"]
        print(f"{len(batch)} samples with {values.shape[1]} of 65,536 points each")
    stats, whole = loader.stats, 4 * 9 * 256 * 256 * 4
    print(
        f"{stats.requests} requests, {stats.fetched_bytes / 1e3:.0f} kB fetched; the fields hold {whole / 1e3:.0f} kB"
    )
    loader.end_threads()  # which have begun to read the next epoch
    server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))
