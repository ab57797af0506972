"""What lies beside datasets and sources, spoilt in every way: caches, masks, datasets that grow, models' targets."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.commands import configuration
from tests.faults.hostile.tryer import Tryer
from tests.faults.hostile.ways import HOLE, WAYS
from ups_data import QueryLoader, QuerySampling, ShardWriter

SHARD = "train/shard-000000.zarr"
SPARSE = 29  # of so many cases, one is in the default run
# Of a cache, the files that are spoilt, by a pattern; of others, by name.
OF_A_CACHE = ("ledger", "objects/*/*.map", "objects/*/*.data")
OF_A_MASK = (
    *(f"{SHARD}/masks/counted/zarr.json", f"{SHARD}/masks/counted/c/0/0"),
    *(f"{SHARD}/trajectories/mask/zarr.json", f"{SHARD}/trajectories/mask/c/0"),
    *(f"{SHARD}/points/count/c/0", f"{SHARD}/points/index/c/0/0"),
)
# Of a dataset and its source, as a second file of runs is to be appended.
OF_AN_APPEND = ("out/dataset.json", "out/conversion.json", f"out/{SHARD}/trajectories/offset/checksums.json")
OF_ITS_SOURCE = ("source/a.npy", "source/b.npy")
GROW = ("given/source", "out", "--split", "train=1")  # relative: a source of another path would be another one
TARGETS = [
    *(
        "",
        ":",
        "a",
        "a:",
        ":a",
        "a:b",
        "a:b:c",
        "..:x",
        "../x:y",
        "/etc/passwd:x",
        "a.b.c:d",
        ".a:b",
        "a..b:c",
        "a:b..c",
    ),
    *(
        "os:system",
        "os:_exit",
        "sys:exit",
        "builtins:exec",
        "builtins:exit",
        "builtins:print",
        "builtins:open",
        "os:path",
    ),
    *("subprocess:run", "pickle:loads", "torch:load", "torch.nn:Linear", "torch.nn:Module", "numpy:array", "math:pi"),
    *("lib2to3.__main__:main", "__main__:main", "a\nb:c", "\x1b[1m:x", "a:\x1b[1m", "a\udcff:b", "\u202e:x"),
    *("x" * 5000 + ":y", "x." * 20_000 + "y:z", "os:" + "path." * 20_000 + "join", "ups_data:__getattr__", "[/bold]:x"),
]


def cases(*parts: list[str] | tuple[str, ...]) -> list[Any]:
    """All pairs of them, most with the mark `faults`."""
    pairs = [(part, way) for part in parts[0] for way in (parts[1] if len(parts) > 1 else WAYS)]
    marks = {False: [], True: [pytest.mark.faults]}
    return [pytest.param(*p, marks=marks[n % SPARSE != 0], id=": ".join(p)) for n, p in enumerate(pairs)]


def kept(folder: Path, write: Callable[[Path], object]) -> Path:
    folder.mkdir()
    write(folder)
    return folder


def spoilt(folder: Path, part: str, way: str) -> None:
    WAYS[way].do(next(path for path in sorted(folder.glob(part)) if path.is_file()))


@pytest.fixture(scope="module")
def cached(open_folder: Path, tryer: Tryer) -> tuple[Path, str]:
    """A dataset `d`, its `cache`, and what it holds."""

    def write(folder: Path) -> None:
        write_grid(folder / "d", steps=(5, 4), codec="lz4", blocks=4)
        given: dict[str, Any] = {"batch_size": 2, "sampling": QuerySampling(ratio=0.5), "threads": 0}
        for _ in QueryLoader(folder / "d", split="train", cache=folder / "cache", **given):
            pass

    folder = kept(open_folder / "of-caches", write)
    return folder, tryer("stream", folder / "d")["digest"]


@pytest.mark.parametrize(("part", "way"), cases(OF_A_CACHE))
def test_a_cache(tryer: Tryer, around: Around, cached: tuple[Path, str], part: str, way: str) -> None:
    """Its bytes are compared with the dataset's seals: the same batches, or one line."""
    shutil.copytree(cached[0] / "d", around.given / "d")
    shutil.copytree(cached[0] / "cache", around.out / "cache")
    around.out.chmod(0o777)
    spoilt(around.out / "cache", part, way)
    around.watch()
    answer = tryer("stream", around.given / "d", f'{{"cache": "{around.out / "cache"}"}}', nobody=WAYS[way].nobody)
    found = wrong(answer, cached[1])
    answer = tryer("command", "cache", around.out / "cache", "--check", nobody=WAYS[way].nobody)
    assert not [*found, *wrong({**answer, "digest": ""}, ""), *around.changes()]


@pytest.fixture(scope="module")
def masked(open_folder: Path, tryer: Tryer) -> tuple[Path, str]:
    """Points in blocks, of which not all count."""

    def write(folder: Path) -> None:
        rng = np.random.default_rng(0)
        with ShardWriter(folder / "d", blocks=4) as writer:
            for n in (50, 60, 70):
                coords, u = rng.random((n, 2)), rng.random((3, n, 1))
                writer.add({"u": u.astype(np.float32)}, coords=coords.astype(np.float32), mask=rng.random(n) < 0.7)
        (folder / "d/openings/train.bin").unlink()  # so that the files themselves are read

    folder = kept(open_folder / "of-masks", write)
    return folder / "d", tryer("stream", folder / "d")["digest"]


@pytest.mark.parametrize(("part", "way"), cases(OF_A_MASK))
def test_a_mask(tryer: Tryer, around: Around, masked: tuple[Path, str], part: str, way: str) -> None:
    shutil.copytree(masked[0], around.given / "d")
    spoilt(around.given / "d", part, way)
    around.watch()
    answer = tryer("stream", around.given / "d", nobody=WAYS[way].nobody)
    found = wrong(answer, masked[1])
    answer = tryer("command", "verify", around.given / "d", nobody=WAYS[way].nobody)
    damaged = answer["ended"] == "done" and answer["status"] == 1 and "damaged shard" in answer["stdout"]
    found += [] if damaged else wrong(answer)  # it is never called intact
    assert not [*found, *around.changes()]


@pytest.fixture(scope="module")
def growing(open_folder: Path, tryer: Tryer) -> tuple[Path, str]:
    """A dataset `out` of the file `a.npy` in `given/source`, where a second one lies by now; what it becomes."""

    def write(folder: Path) -> None:
        values = np.random.default_rng(0).standard_normal((2, 3, 4, 4, 1)).astype(np.float32)
        (folder / "given/source").mkdir(parents=True)
        np.save(folder / "given/source/a.npy", values)
        assert tryer("convert", *GROW, cwd=str(folder))["status"] == 0
        np.save(folder / "given/source/b.npy", values + 1)

    folder = kept(open_folder / "of-appends", write)
    shutil.copytree(folder, open_folder / "appended")
    answer = tryer("convert", *GROW, cwd=str(open_folder / "appended"))
    assert answer["status"] == 0, answer
    return folder, answer["digest"]


@pytest.mark.parametrize(("part", "way"), cases((*OF_AN_APPEND, *OF_ITS_SOURCE)))
def test_a_dataset_that_grows(tryer: Tryer, around: Around, growing: tuple[Path, str], part: str, way: str) -> None:
    shutil.copytree(growing[0] / "given/source", around.given / "source")
    shutil.copytree(growing[0] / "out", around.out)
    for path in (around.out, *around.out.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    where = around.out if part.startswith("out/") else around.given
    spoilt(where, part.removeprefix("out/"), way)
    around.watch()
    files = [p for p in around.out.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < HOLE]
    before = {p: p.read_bytes() for p in files}
    answer = tryer("convert", *GROW, cwd=str(around.folder), nobody=WAYS[way].nobody)
    nothing_new = (part, way) == ("source/b.npy", "missing")
    found = wrong({**answer, "digest": growing[1]} if nothing_new else answer, growing[1])
    if answer["status"] != 0:  # what was there is there
        found += [f"{p} was changed" for p, content in before.items() if not p.exists() or p.read_bytes() != content]
    assert not [*found, *around.changes()]


@pytest.mark.parametrize(("target", "of"), cases(TARGETS, ("train", "noise")))
def test_a_target(tryer: Tryer, around: Around, cached: tuple[Path, str], target: str, of: str) -> None:
    """What is no model is refused; no function is called that cannot take what a model is built from."""
    (around.given / "c.yaml").write_text(configuration(cached[0] / "d", around.out / "run"))
    (around.folder / "here").mkdir()
    around.watch()
    options = ("--samples", "2", "--ratios", "0.5", "--modes", "random") if of == "noise" else ()
    words = (*options, "--", around.given / "c.yaml", f"model.target={target}")
    answer = tryer("command", of, *words, cwd=str(around.folder / "here"))
    assert not [*wrong(answer), *around.changes()]
