"""What the runs of a source are called in files of splits, and such a file of a dataset."""

import csv
import io
import json
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest


def names_of(source: str, root: Path) -> list[str | None]:
    """What a file of splits may call a run's file: nothing, as it was given, or relative to what is converted."""
    return [None, *dict.fromkeys([source, relative_name(source, root)])]


def relative_name(source: str, root: Path) -> str:
    """A run's file relative to what is converted; of a single file its name."""
    path = Path(source)
    if path == root:
        return path.name
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else source


def save_split_file(manifest: Manifest, path: Path) -> int:
    """Write which runs are in which split of a dataset, for `ByFile` and `ups-data convert --splits`.

        save_split_file(Manifest.load("data/dr"), Path("splits.json"))

    Args:
        path: its name ends with .json, .yaml, .yml or .csv.

    Returns:
        number of runs.

    Raises:
        UpsDataError: another name, a dataset whose regions were cut out (names alone do not make it again), or one
            that does not say what its runs are called.
    """
    if path.suffix not in (".json", ".yaml", ".yml", ".csv"):
        raise UpsDataError(f"{path}: name a file that ends with .json, .yaml or .csv")
    rule = manifest.source.get("splits", "")
    if rule.startswith("region "):
        raise UpsDataError(f"{path}: the splits are regions of the same runs, which names do not tell: give {rule}")
    root = Path(manifest.source.get("path", ""))
    named = {
        split: [{"source": relative_name(o.source, root), "key": o.key} for o in manifest.origins(split)]
        for split in manifest.splits
    }
    nameless = next((split for split, runs in named.items() for run in runs if not run["key"]), None)
    if nameless is not None:
        raise UpsDataError(f"{path}: runs of the split {nameless!r} have no name: they were written without a key")
    try:
        with replacing(path) as file:
            file.write(_text(path.suffix, named).encode())
    except OSError as error:
        raise UpsDataError(f"{path}: cannot be written ({error.strerror}): choose another place") from None
    return sum(map(len, named.values()))


def _text(suffix: str, named: dict[str, list[dict[str, str]]]) -> str:
    if suffix == ".json":
        return json.dumps(named, indent=1, ensure_ascii=False) + "\n"
    if suffix != ".csv":
        return yaml.safe_dump(named, sort_keys=False, allow_unicode=True)
    out = io.StringIO()
    rows = csv.DictWriter(out, ["split", "source", "key"])
    rows.writeheader()
    rows.writerows({"split": split, **run} for split, runs in named.items() for run in runs)
    return out.getvalue()
