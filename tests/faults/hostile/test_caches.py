"""Folders of a cache that somebody else has prepared: nothing outside of them is made, changed or read."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.faults.hostile.around import Around
from tests.store.cached.logged import LoggedStore
from tests.store.reading import digests, write_blocks
from ups_data import UpsDataError
from ups_data.store.cached.contents import contents, empty
from ups_data.store.cached.store import CachedStore


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cached") / "d"
    write_blocks(root, codec="lz4")
    return root


@pytest.fixture(scope="module")
def expected(dataset: Path) -> object:
    return digests(dataset)


def stream(dataset: Path, cache: Path, log: Path) -> object:
    return digests(CachedStore(LoggedStore(dataset, log), cache, 10**8))


def test_links_in_place_of_its_parts(dataset: Path, expected: object, around: Around, tmp_path: Path) -> None:
    """Of its books, of the folder of all mirrors, and of a folder of some."""
    for part in ("ledger", "objects"):
        cache = around.out / part
        cache.mkdir(parents=True)
        (cache / part).symlink_to(around.others / ("notes.txt" if part == "ledger" else "folder"))
        around.watch()
        for use in (lambda c=cache: stream(dataset, c, tmp_path / "log"), lambda c=cache: empty(c)):
            with pytest.raises(UpsDataError, match="cache"):
                use()
        assert around.changes() == []
    cache = around.out / "some"
    (cache / "objects").mkdir(parents=True)
    for number in range(256):
        (cache / "objects" / f"{number:02x}").symlink_to(around.others / "folder")
    around.watch()
    assert stream(dataset, cache, tmp_path / "log") == expected
    assert around.changes() == []


def test_links_in_place_of_mirrors(dataset: Path, expected: object, around: Around, tmp_path: Path) -> None:
    """Each file of each mirror, and the file that a map is written to first."""
    cache = around.out / "cache"
    assert stream(dataset, cache, tmp_path / "log") == expected
    for place, file in enumerate(sorted((cache / "objects").glob("*/*"))):
        if file.suffix == ".map":
            file.with_suffix(".new").symlink_to(around.others / "notes.txt")
        if place % 2:
            file.unlink()
            file.symlink_to(around.others / "notes.txt")
    around.watch()
    assert stream(dataset, cache, tmp_path / "log") == expected
    contents(cache, check=True)
    assert around.changes() == []


def test_maps_that_claim(dataset: Path, expected: object, around: Around, tmp_path: Path) -> None:
    """More chunks, larger objects, chunks behind the end: the mirror is made again, and no memory is taken for it."""
    for place, count in ((52, 2**31), (44 + 8, 2**62), (44, 2**60)):
        cache = around.out / f"{place}-{count}"
        assert stream(dataset, cache, tmp_path / "log") == expected
        for file in (cache / "objects").glob("*/*.map"):
            with open(file, "r+b") as opened:
                opened.seek(place)
                opened.write(struct.pack("<q", count))
        assert stream(dataset, cache, tmp_path / "log") == expected
        contents(cache, check=True)


def test_bytes_that_a_cache_makes_up_are_not_served(dataset: Path, expected: object, tmp_path: Path) -> None:
    """Marked as present, in the right files, and of another's making."""
    cache = tmp_path / "cache"
    assert stream(dataset, cache, tmp_path / "log") == expected
    draw = np.random.default_rng(0)
    for file in (cache / "objects").glob("*/*.data"):
        size = file.stat().st_size
        file.write_bytes(draw.bytes(size))
    assert stream(dataset, cache, tmp_path / "log") == expected


def test_pipes_in_place_of_its_parts(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    os.mkfifo(tmp_path / "cache" / "ledger")
    with pytest.raises(UpsDataError, match="cache"):
        stream(dataset, tmp_path / "cache", tmp_path / "log")
