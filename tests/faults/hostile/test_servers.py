"""Web servers that answer anything: a loader gets the batches as they are, or ends in one line, in time and memory."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.tryer import Tryer
from tests.store.serving import Asked, RangeServer, Reply
from ups_data.schema.trajectories import SEAL

CODE = """
from ups_data import QueryLoader, QuerySampling
options = dict(split="train", batch_size=2, sampling=QuerySampling(ratio=0.5), threads=0, timeout=4)
print(sum(1 for _ in QueryLoader({url!r}, **options)))
"""
BOMB = gzip.compress(bytes(1 << 28), 9)


def moved(to: str) -> Callable[[RangeServer, Asked, Around], Reply]:
    def reply(server: RangeServer, asked: Asked, around: Around) -> Reply:
        place = to.format(key=asked.key, others=around.others, url=server.url)
        return Reply(302, b"", headers={"Location": place})

    return reply


def always(reply: Reply) -> Callable[[RangeServer, Asked, Around], Reply]:
    return lambda server, asked, around: reply


def longer(server: RangeServer, asked: Asked, around: Around) -> Reply:
    return Reply(body=(server.find(asked.key) or b"") + b"x" * 10**6)


REPLIES: dict[str, Callable[[RangeServer, Asked, Around], Reply]] = {
    "moved to a file": moved("file://{others}/notes.txt"),
    "moved to itself": moved("/{key}"),
    "moved to nowhere": moved("http://127.0.0.1:1/{key}"),
    "moved to what is no URL": moved("http://[/"),
    "moved with control characters": moved("/\x1b[1m"),
    "a length beyond any": always(Reply(200, b"x" * 1000, announced=2**62)),
    "a negative length": always(Reply(200, b"x", announced=-5)),
    "a gigabyte": always(Reply(200, b"[", headers={"Transfer-Encoding": "chunked"})),
    "compressed zeros": always(Reply(200, BOMB, headers={"Content-Encoding": "gzip"})),
    "a page": always(Reply(200, b"<html>\x1b[1m</html>")),
    "nothing": always(Reply(200, b"")),
    "no content": always(Reply(204, b"")),
    "no status that is known": always(Reply(799, b"no")),
    "control characters in a header": always(Reply(200, b"{}", headers={"ETag": '"\x1b[31m"'})),
    "a long header": always(Reply(200, b"{}", headers={"X": "y" * 60_000})),
    "a range that was not asked for": always(
        Reply(206, b"x" * 50, headers={"Content-Range": f"bytes 0-{2**62}/{2**63}"})
    ),
    "more than there is": longer,
}
OF = {
    "the manifest": "dataset.json",
    "the openings": "openings/",
    "the seals": SEAL,
    "arrays": "zarr.json",
    "chunks": "/c/",
}
OPENED = ("the seals", "arrays")  # which an opening holds, where there is one


@pytest.fixture(scope="module")
def served(open_folder: Path) -> Path:
    root = open_folder / "served"
    write_grid(root, steps=(5, 4))
    return root


def test_as_it_is_meant(tryer: Tryer, served: Path) -> None:
    with RangeServer(served) as server:
        answer = tryer("python", CODE.format(url=server.url))
    assert (answer["status"], answer["stdout"]) == (0, "3\n"), answer


@pytest.mark.parametrize("of", OF)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.faults] if k != 9 else []) for k, n in enumerate(REPLIES)]
)
def test_an_answer(tryer: Tryer, around: Around, served: Path, name: str, of: str) -> None:
    def fault(asked: Asked) -> Reply | None:
        if of in OPENED and "openings/" in asked.key:
            return Reply(404, b"")
        return REPLIES[name](server, asked, around) if OF[of] in asked.key else None

    around.watch()
    with RangeServer(served) as server:
        server.fault = fault
        answer = tryer("python", CODE.format(url=server.url))
        assert any(OF[of] in asked.key for asked in server.asked)
    # What is asked for again by another way is right too; that the other way was taken is not.
    assert not [*wrong({**answer, "digest": ""}, "" if answer["stdout"] == "3\n" else None), *around.changes()]
