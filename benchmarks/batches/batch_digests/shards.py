"""The bytes of datasets: the digest of every file, and the manifest as it is read."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ups_data.schema import Manifest

MANIFEST = "dataset.json"


def contents(root: Path) -> dict[str, Any]:
    """`files`: path → SHA-256, of all but the manifest; `manifest`: its content, without its digest."""
    Manifest.load(root)  # refuses a damaged one
    manifest = json.loads((root / MANIFEST).read_text())
    del manifest["digest"]
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return {"files": files, "manifest": manifest}


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What differs between the datasets of two runs: lines of what is wrong, and of keys and files that there are
    beside."""
    wrong: list[str] = []
    new: list[str] = []
    for name in dict.fromkeys([*then, *now]):
        if name not in then or name not in now:
            wrong.append(f"{name}: only in {'the other' if name in then else 'this'} run")
            continue
        before, after = then[name], now[name]
        for file in dict.fromkeys([*before["files"], *after["files"]]):
            how = _how(file in before["files"], file in after["files"])
            if how == "new" and ".zarr/" not in file:  # beside the shards, for those who open many at once
                new.append(f"{name}/{file}: {how}")
            elif before["files"].get(file) != after["files"].get(file):
                wrong.append(f"{name}/{file}: {how}")
        for key, how in _keys(before["manifest"], after["manifest"], ""):
            (new if how == "new" else wrong).append(f"{name}/{MANIFEST}: {key}: {how}")
    return wrong, new


def _keys(before: Any, after: Any, where: str) -> Iterator[tuple[str, str]]:
    """Places in which two manifests differ, and how."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            place = f"{where}.{key}".removeprefix(".")
            if key in before and key in after:
                yield from _keys(before[key], after[key], place)
            else:
                yield place, _how(key in before, key in after)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _keys(one, other, f"{where}[{number}]")
    elif before != after and not _is_rounding(before, after, where):
        yield where, _how(True, True)


def _is_rounding(before: Any, after: Any, where: str) -> bool:
    """Whether two numbers are one statistic, whose last bits depend on the order of sums."""
    numbers = isinstance(before, float) and isinstance(after, float)
    return numbers and ".statistics." in f".{where}" and math.isclose(before, after, rel_tol=1e-11, abs_tol=1e-14)


def _how(before: bool, after: bool) -> str:
    return "changed" if before and after else "gone" if before else "new"
