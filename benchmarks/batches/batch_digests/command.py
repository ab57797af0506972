"""The command `same_batches.py`."""

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ups_data

from . import digests, pinned, shards
from .configurations import CONFIGURATIONS
from .datasets import DATASETS, ensure


def main(description: str | None) -> int:
    """The exit status, after what the command line asks for.

    Args:
        description: for `--help`.
    """
    given = _arguments(description)
    checkout = given.checkout.resolve()
    if not Path(ups_data.__file__).resolve().is_relative_to(checkout):
        sys.exit(f"ups_data is imported from {ups_data.__file__}, not from {checkout}: use that checkout's environment")
    logging.getLogger("ups_data").setLevel(logging.ERROR)  # of damaged samples, which are meant
    wrong: list[str] = []
    if given.out or given.compare:
        wrong += _batches(given, checkout)
    if given.shards or given.compare_shards:
        wrong += _shards(given, checkout)
    if given.pinned:
        pinned.save(given.pinned)
    for line in wrong:
        print(f"DIFFERS: {line}")
    return 1 if wrong else 0


def _batches(given: argparse.Namespace, checkout: Path) -> list[str]:
    """What is wrong with the batches."""
    names = given.only or list(CONFIGURATIONS)
    begun = time.perf_counter()
    ensure((name for n in names for name in CONFIGURATIONS[n].datasets), given.datasets.resolve(), checkout)
    made = time.perf_counter()
    found = {name: digests.digests(CONFIGURATIONS[name], given.datasets) for name in names}
    spent = f"{made - begun:.1f} s for datasets, {time.perf_counter() - made:.1f} s for batches"
    print(f"{len(found)} configurations, {_count(found)} batches: {spent}")
    _save(given.out, found)
    wrong = digests.unlike(found)
    if given.compare:
        then = json.loads(given.compare.read_text())
        wrong += digests.difference({n: d for n, d in then.items() if not given.only or n in names}, found)
    return wrong


def _shards(given: argparse.Namespace, checkout: Path) -> list[str]:
    """What is wrong with the bytes of the datasets, which are all made anew."""
    with TemporaryDirectory() as folder:
        ensure(DATASETS, Path(folder), checkout, padded_chunks=given.padded)
        found = {name: shards.contents(Path(folder, name)) for name in DATASETS}
    print(f"{len(found)} datasets made anew, {sum(len(d['files']) for d in found.values())} files")
    _save(given.shards, found)
    if not given.compare_shards:
        return []
    wrong, new = shards.difference(json.loads(given.compare_shards.read_text()), found)
    for line in new:
        print(f"beside: {line}")
    return wrong


def _count(found: dict[str, Any]) -> int:
    return sum(epoch["batches"] for digest in found.values() for epoch in digest["epochs"])


def _save(path: Path | None, found: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def _arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, required=True, help="of the commit; its tools convert")
    parser.add_argument("--datasets", type=Path, default=Path("data"), help="those there are used, others made there")
    parser.add_argument("--out", type=Path, help="JSON for the digests of batches")
    parser.add_argument("--compare", type=Path, help="JSON of another run's batches")
    parser.add_argument("--only", action="append", choices=CONFIGURATIONS, metavar="NAME", help="one configuration")
    parser.add_argument("--shards", type=Path, help="JSON for the digests of the files of all datasets, made anew")
    parser.add_argument("--compare-shards", type=Path, help="JSON of another run's files")
    parser.add_argument(
        "--padded", action="store_true", help="--shards: fill chunks up, as commits until 2026-11-28 did"
    )
    parser.add_argument("--pinned", type=Path, help="JSON for the digests that a test pins")
    return parser.parse_args()
