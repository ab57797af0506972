"""Cases of the fuzzer that are about what lies beside datasets: configurations, runs, splits, points, caches, plans."""

import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from tests.datasets import write_grid
from tests.faults.hostile.mutations import changed, changed_json
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.store.cached.contents import contents
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.prediction.places import read_points
from ups_data.training.report import write_report

Case = Callable[[Path, random.Random], None]
RUNS = {"train": ["a", {"source": "b.npy", "key": "1"}, "c[0:3]"], "test": ["d"]}
TAGS = {"script", "iframe", "object", "a", "em", "link", "form"}


def changed_text(text: bytes, draw: random.Random) -> bytes:
    """As JSON, or as bytes."""
    return changed_json(text, draw) if draw.random() < 0.7 else changed(text, draw)


def split_file(folder: Path, draw: random.Random) -> None:
    ending = draw.choice([".json", ".yaml", ".csv"])
    text = json.dumps(RUNS).encode()
    if ending == ".csv":
        text = b"split,source,key\ntrain,,a\ntrain,b.npy,1\ntest,,d\n"
    path = folder / f"splits{ending}"
    path.write_bytes(changed(text, draw) if ending == ".csv" else changed_text(text, draw))
    ByFile(path, folder)


def points_file(folder: Path, draw: random.Random) -> None:
    path, points = folder / f"points{draw.choice(['.npy', '.csv', '.txt'])}", np.linspace(0.1, 0.9, 12).reshape(6, 2)
    if path.suffix == ".npy":
        np.save(path, points)
    else:
        np.savetxt(path, points, fmt="%.3f", delimiter="," if path.suffix == ".csv" else " ")
    path.write_bytes(changed(path.read_bytes(), draw))
    read_points(path)


def configuration(folder: Path, draw: random.Random) -> None:
    path = folder / "run.yaml"
    whole = TrainConfig.model_validate({"data": {"root": "somewhere"}}).model_dump(mode="json")
    path.write_bytes(changed_text(json.dumps(whole).encode(), draw))
    load_config(path)


HISTORY = {
    "finished": True,
    "valid_nrmse": 0.1,
    "persistence_nrmse": 0.5,
    "seconds": 12.5,
    "peak_memory_mb": 100.0,
    "epochs": [
        {
            "epoch": n,
            "loss": {"total": 1.0 / (n + 1)},
            "valid_nrmse": 0.5 / (n + 1),
            "valid_fields": {"u<script>": 0.1, "v": 0.2},
            "lr": 1e-3,
            "queries": 10,
            "ratio": 0.1,
            "seconds": 2.0,
            "data_seconds": 0.5,
            "step_seconds_median": 0.01,
        }
        for n in range(3)
    ],
    "config": {"data": {"root": "nowhere<script>"}, "training": {"epochs": 3, "<em>": "<script>"}},
}
STEP = {"loss": {"total": 0.5, "prediction": 0.4}, "lr": 1e-3, "queries": 12, "step": 4}


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags = set[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def report(folder: Path, draw: random.Random) -> None:
    """The page of a run whose files are changed: nothing in them becomes a part of it."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / "history.json").write_bytes(changed_text(json.dumps(HISTORY).encode(), draw))
    steps = [changed_json(json.dumps(STEP).encode(), draw).replace(b"\n", b"") for _ in range(3)]
    (run / "metrics.jsonl").write_bytes(b"\n".join(steps))
    page = write_report(run, folder / "page.html")
    seen = Seen()
    seen.feed(page.read_text())
    assert not seen.tags & TAGS, seen.tags & TAGS


def cache(folder: Path, draw: random.Random) -> None:
    """Its books, maps and bytes are changed: the same batches come out."""
    root, kept, used = folder / "d", folder / "kept", folder / "cache"
    if not root.exists():
        write_grid(root, codec="lz4", steps=(5, 4), blocks=4)
        (folder / "sums").write_text(json.dumps(sums(root, kept)))
    shutil.rmtree(used, ignore_errors=True)
    shutil.copytree(kept, used)
    for _ in range(draw.choice([1, 1, 3])):
        file = draw.choice([path for path in sorted(used.rglob("*")) if path.is_file()])
        file.write_bytes(changed(file.read_bytes(), draw))
    with suppress(UpsDataError):
        contents(used, check=True)
    assert sums(root, used) == json.loads((folder / "sums").read_text()), "other batches came out"


def sums(root: Path, cache: Path) -> list[float]:
    loader = QueryLoader(
        root, split="train", batch_size=2, sampling=QuerySampling(ratio=0.5), threads=0, cache=cache, cache_bytes=10**7
    )
    return [float(batch.target_queries.values["u"].double().sum()) for batch in loader]


def appended(folder: Path, draw: random.Random) -> None:
    """What a dataset says of its own conversion is changed, and runs are added to its source."""
    kept, source, out = folder / "kept", folder / "source", folder / "out"
    values = np.random.default_rng(0).standard_normal((2, 3, 4, 4, 1)).astype(np.float32)
    if not kept.exists():
        source.mkdir()
        np.save(source / "a.npy", values)
        convert(source, kept, card=False)
        np.save(source / "b.npy", values + 1)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(kept, out)
    file = draw.choice(sorted(out.glob("*.json")))
    file.write_bytes(changed_text(file.read_bytes(), draw))
    convert(source, out, card=False)


def unfinished(folder: Path, draw: random.Random) -> None:
    """The plan or a record of a conversion that was stopped is changed."""
    kept, source, out = folder / "kept", folder / "u.npy", folder / "out"
    if not kept.exists():
        np.save(source, np.random.default_rng(0).standard_normal((6, 3, 4, 4, 1)).astype(np.float32))
        with suppress(InterruptedError):
            convert(source, kept, split={"train": 0.5, "test": 0.5}, card=False, progress=_stop_after(4))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(kept, out)
    file = draw.choice(sorted((out / ".conversion").glob("*.json")))
    file.write_bytes(changed_text(file.read_bytes(), draw))
    convert(source, out, split={"train": 0.5, "test": 0.5}, card=False)


def _stop_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= count:
            raise InterruptedError

    return progress


RUN_TARGETS: dict[str, Case] = {
    f.__name__: f for f in (split_file, points_file, configuration, report, cache, appended, unfinished)
}
