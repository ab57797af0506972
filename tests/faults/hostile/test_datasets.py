"""Datasets of which one file is spoilt in every way, and manifests that claim: right data, or one line."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets import edit_manifest, write_grid
from tests.faults.hostile.around import Around, is_one_line, wrong
from tests.faults.hostile.tryer import Tryer
from tests.faults.hostile.ways import WAYS
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.card import write_card
from ups_data.schema import MANIFEST, Manifest
from ups_data.schema.trajectories import SEAL

SHARD = "train/shard-000000.zarr"
# What a loader reads of a dataset in blocks, and one file that only others read.
PARTS = {
    "manifest": MANIFEST,
    "seal": f"{SHARD}/{SEAL}",
    "array": f"{SHARD}/fields/u/zarr.json",
    "object": f"{SHARD}/fields/u/c/0/0/0",
    "times": f"{SHARD}/trajectories/time/c/0",
    "index": f"{SHARD}/points/index/c/0/0",
    "group": f"{SHARD}/zarr.json",
}
SPARSE = 24


@pytest.fixture(scope="module")
def intact(open_folder: Path, tryer: Tryer) -> tuple[Path, str]:
    root = open_folder / "intact-dataset"
    write_grid(root, steps=(5, 4), codec="lz4", blocks=4)
    answer = tryer("stream", root)
    assert answer["status"] == 0, answer
    return root, answer["digest"]


def cases() -> list[Any]:
    every = [(part, way) for part in PARTS for way in WAYS]
    marks = {False: [], True: [pytest.mark.faults]}
    return [pytest.param(*c, marks=marks[n % SPARSE != 0], id=": ".join(c)) for n, c in enumerate(every)]


@pytest.mark.parametrize(("part", "way"), cases())
def test_a_file(tryer: Tryer, around: Around, intact: tuple[Path, str], part: str, way: str) -> None:
    """Streaming and inspecting refuse what they look at; verifying notices everything."""
    root = around.given / "d"
    shutil.copytree(intact[0], root)
    WAYS[way].do(root / PARTS[part])
    around.watch()
    nobody = WAYS[way].nobody
    unseen = part == "group" or not WAYS[way].refused
    found = wrong(tryer("stream", root, nobody=nobody), intact[1] if unseen else None)
    shown = tryer("command", "inspect", root, nobody=nobody)
    found += wrong({**shown, "digest": ""}, "" if part != "manifest" or not WAYS[way].refused else None)
    found += wrong_verified(tryer("command", "verify", root, nobody=nobody))
    assert not [*found, *around.changes()]


def wrong_verified(answer: dict[str, Any]) -> list[str]:
    """It is not intact: a table of damage and status 1, or one line."""
    if answer["ended"] == "done" and answer["status"] == 1 and "damaged shard" in answer["stdout"]:
        return wrong({**answer, "status": 2, "stderr": "error: x"})
    return wrong(answer)


@pytest.mark.parametrize("part", ["object", pytest.param("seal", marks=pytest.mark.faults), "times", "manifest"])
@pytest.mark.parametrize("of", ["a file", pytest.param("its folder", marks=pytest.mark.faults)])
def test_a_link_out_of_it(tryer: Tryer, around: Around, intact: tuple[Path, str], part: str, of: str) -> None:
    root = around.given / "d"
    shutil.copytree(intact[0], root)
    path = root / PARTS[part]
    path = path if of == "a file" or part == "manifest" else path.parent
    path.rename(around.others / "moved")
    path.symlink_to(around.others / "moved")
    around.watch()
    found = wrong(tryer("stream", root)) + wrong_verified(tryer("command", "verify", root))
    assert not [*found, *around.changes()]


def axes(*lengths: int) -> Callable[[dict[str, Any]], object]:
    made = [{"name": f"a{n}", "physical": [0.0] * n, "normalised": [0.5] * n} for n in lengths]
    return lambda m: m["grid"].update(axes=[{**a, "name": name} for a, name in zip(made, "zyx", strict=False)])


def shard(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda m: m["splits"]["train"]["shards"][0].update(values)


def field(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda m: m["fields"][0].update(values)


CLAIMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "one long trajectory": shard(steps=[2**27]),
    "four million frames": shard(steps=[2**22]),
    "a million trajectories": shard(steps=[2] * 2**20),
    "more frames than there may be": shard(steps=[2**31 - 1] * 100),
    "a grid of 1000³": axes(1000, 1000, 1000),
    "a grid of 46340²": axes(46340, 46340),
    "a grid in many blocks": lambda m: (axes(1000, 1000, 1000)(m), m.update(blocks=10**9)),
    "channels": field(channels=2**16),
    "rows of a chunk": field(chunk_rows=2**31 - 1, channels=3),
    "blocks": lambda m: m.update(blocks=100),
    "a negative seed of blocks": lambda m: m.update(block_seed=-(2**70), blocks=9),
    "bytes": shard(bytes=2**63, digest="sha256:0"),
    "importance": lambda m: m.update(importance={"gradient": {"": 65536}}),
    "parameters": lambda m: m.update(params=[f"p{n}" for n in range(1001)]),
    "fields": lambda m: m.update(fields=[{**m["fields"][0], "name": f"f{n}"} for n in range(1001)]),
    "a shard above": shard(path="../others/folder"),
    "an absolute shard": shard(path="/etc"),
    "a shard with a control character": shard(path="train/\x1b[31m"),
    "a shard twice": lambda m: m["splits"].update(valid=m["splits"]["train"]),
    "a split that is a path": lambda m: m["splits"].update({"../x": m["splits"]["train"]}),
    "a field that is a path": field(name="../../x"),
    "a field with a line break": field(name="u\n"),
    "another version": lambda m: m.update(version=2**63),
    "not finite": lambda m: m["grid"]["axes"][0].update(normalised=[float("nan")] * 12),
}
USUAL = {"one long trajectory", "a grid of 1000³", "channels", "a shard above", "a field with a line break"}


@pytest.mark.parametrize("claim", [pytest.param(c, marks=[] if c in USUAL else [pytest.mark.faults]) for c in CLAIMS])
def test_a_manifest_that_claims(tryer: Tryer, around: Around, intact: tuple[Path, str], claim: str) -> None:
    root = around.given / "d"
    shutil.copytree(intact[0], root)
    edit_manifest(root, CLAIMS[claim])
    around.watch()
    looks = claim == "importance"  # nobody but the mode of this name looks at it
    found = wrong(tryer("stream", root, *(['{"mode": "importance"}'] if looks else [])))
    bench = ("--seconds", "0.1", *(("--mode", "importance") if looks else ()))
    for command in ("verify", "bench", "inspect"):
        answer = tryer("command", command, root, *(bench if command == "bench" else ()))
        seen = command == "inspect" and answer["status"] == 0
        found += (
            wrong_verified(answer) if command == "verify" else wrong({**answer, "digest": ""}, "" if seen else None)
        )
    assert not [*found, *around.changes()]


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.faults
def test_points_that_are_claimed(tryer: Tryer, around: Around, moving: bool) -> None:
    rng, root = np.random.default_rng(0), around.given / "d"
    with ShardWriter(root, blocks=4) as writer:
        for n in (50, 60, 70):
            coords = rng.random((3, n, 2) if moving else (n, 2)).astype(np.float32)
            writer.add({"u": rng.random((3, n, 1)).astype(np.float32)}, coords=coords)
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(points={"": [2**31 - 1] * 3}))
    around.watch()
    assert not [*wrong(tryer("stream", root)), *around.changes()]
    edit_manifest(root, lambda m: m["points"].update(block_points=1))
    around.watch()
    assert not [*wrong(tryer("stream", root)), *around.changes()]


@pytest.mark.parametrize("text", ["[],", pytest.param("1234,", marks=pytest.mark.faults)])
def test_a_manifest_of_many_values(tryer: Tryer, around: Around, text: str) -> None:
    (around.given / "d").mkdir()
    body = b'{\n"a": [' + text.encode() * (120 * 10**6 // len(text)) + b"[]]}"
    digest = hashlib.sha256(body).hexdigest()
    (around.given / "d" / MANIFEST).write_bytes(f'{{\n "digest": "sha256:{digest}",\n'.encode() + body[2:])
    answer = tryer("command", "inspect", around.given / "d")
    assert not wrong(answer)
    assert is_one_line(answer["stderr"])


def test_a_split_without_trajectories(tmp_path: Path) -> None:
    """Of points, whose numbers are looked at: it is refused, and the others are what they were."""
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path) as writer:
        for split in ("train", "valid"):
            coords = rng.random((20, 2)).astype(np.float32)
            writer.add({"u": rng.random((3, 20, 1)).astype(np.float32)}, coords=coords, split=split)
            writer.add({"u": rng.random((3, 20, 1)).astype(np.float32)}, coords=coords[::-1], split=split)
    edit_manifest(tmp_path, lambda m: m["splits"]["valid"].update(shards=[]))
    options: dict[str, Any] = {"batch_size": 2, "sampling": QuerySampling(ratio=0.5), "threads": 0}
    assert len([*QueryLoader(tmp_path, split="train", **options)]) == 2
    with pytest.raises(UpsDataError, match="'valid' holds no trajectories"):
        QueryLoader(tmp_path, split="valid", **options)
    assert Manifest.load(tmp_path).max_points("valid") == Manifest.load(tmp_path).min_points("valid") == 0
    assert write_card(tmp_path)
