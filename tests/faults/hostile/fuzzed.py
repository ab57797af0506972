"""A process that reads input with random changes, one after the other, and writes down what is wrong with how.

`python -m tests.faults.hostile.fuzzed FOLDER TARGET FIRST SECONDS`: cases FIRST, FIRST + 1 … of a target for so many
seconds. Before each it writes the case's number into FOLDER/case: if a signal ends the process, that was it. Memory is
limited; what is refused in one line, or read, is right. Seconds are those of a processor, so that a busy machine, or
one that stops for a while, changes nothing. At the end FOLDER/done says how many cases there were, and how much the
process grew.
"""

import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.datasets import reseal, write_grid
from tests.faults.crafted import craft_fields
from tests.faults.hostile.fuzzed_runs import RUN_TARGETS, Case
from tests.faults.hostile.mutations import changed, changed_json
from tests.faults.hostile.sources import FILES, FOLDERS, Write
from tests.faults.hostile.tryer import resident
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.conversion.source_runs import open_run
from ups_data.schema.file import MANIFEST, with_digest
from ups_data.schema.trajectories import SEAL
from ups_data.sources import open_source
from ups_data.store.verify import verify_dataset
from ups_data.training.runs.checkpoint import check_form, load_checkpoint

ROOM = 1024**3  # bytes that a case may take beyond what the process has at its beginning
GROWTH = 300 * 1024**2  # that it may have more at its end
SECONDS = 60  # of a processor that a case may take
HANGS = 1800  # after which a case hangs: the machine may be busy, or stop this process for minutes
READ = 10**6  # values of an array that are read, at most
SHARD = "train/shard-000000.zarr"


def read_source(path: Path) -> None:
    """All of it, as a conversion would."""
    source = open_source(path)
    for number in range(min(len(source), 5)):
        run = open_run(source, number, path)
        for array in (*run.fields.values(), *run.static.values(), *run.coords.values()):
            rows = max(1, READ // max(1, int(np.prod([int(n) for n in array.shape[1:]], dtype=object))))
            array[: min(rows, array.shape[0])]


def file_case(write: Write) -> Case:
    def case(folder: Path, draw: random.Random) -> None:
        kept, path = folder / "kept", folder / "source"
        if not kept.exists():
            write(kept)
        path.write_bytes(changed(kept.read_bytes(), draw))
        read_source(path)

    return case


def group_case(write: Write, pattern: str, entry: str = "") -> Case:
    """One of the files of a folder, as JSON or as bytes; what is read is the folder, or `entry` in it."""

    def case(folder: Path, draw: random.Random) -> None:
        kept, path = folder / "kept", folder / "source"
        if not kept.exists():
            write(kept)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(kept, path)
        file = draw.choice([found for found in sorted(path.glob(pattern)) if found.is_file()])
        text = file.read_bytes()
        as_json = draw.random() < 0.7 and text[:1] == b"{"
        file.write_bytes(changed_json(text, draw) if as_json else changed(text, draw))
        read_source(path / entry)

    return case


def fresh_dataset(folder: Path) -> Path:
    kept, root = folder / "kept", folder / "d"
    if not kept.exists():
        write_grid(kept, codec="lz4", steps=(5, 4), blocks=4)
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(kept, root)
    return root


def use(root: Path) -> None:
    damage = verify_dataset(root, threads=1)
    assert all("\n" not in f"{d.shard}{d.reason}" for d in damage), damage
    for _ in QueryLoader(root, split="train", batch_size=2, sampling=QuerySampling(ratio=0.5), threads=0):
        pass


def manifest(folder: Path, draw: random.Random) -> None:
    change_manifest(fresh_dataset(folder), draw)


def masked(folder: Path, draw: random.Random) -> None:
    """The manifest of points in blocks, of which not all count."""
    kept, root = folder / "kept", folder / "d"
    if not kept.exists():
        rng = np.random.default_rng(0)
        with ShardWriter(kept, blocks=4) as writer:
            for n in (50, 60, 70):
                coords, u = rng.random((n, 2)), rng.random((3, n, 1))
                writer.add({"u": u.astype(np.float32)}, coords=coords.astype(np.float32), mask=rng.random(n) < 0.7)
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(kept, root)
    change_manifest(root, draw)


def change_manifest(root: Path, draw: random.Random) -> None:
    text = (root / MANIFEST).read_bytes()
    body = b"{\n" + text[text.index(b"\n", 2) + 1 :]
    mutated = changed_json(body, draw).decode()
    if draw.random() < 0.3:
        mutated = "{\n" + changed(mutated.encode(), draw).decode("latin-1").removeprefix("{\n")
    (root / MANIFEST).write_bytes(with_digest(mutated) if mutated.startswith("{\n") else mutated.encode())
    use(root)


def sealed_again(root: Path, digest: str) -> None:
    from tests.datasets import edit_manifest

    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(digest=f"sha256:{digest}"))


def seal(folder: Path, draw: random.Random) -> None:
    from ups_data.store.sealing import file_digest

    root = fresh_dataset(folder)
    file = root / SHARD / SEAL
    text = file.read_bytes()
    file.write_bytes(changed_json(text, draw) if draw.random() < 0.7 else changed(text, draw))
    sealed_again(root, file_digest(file))
    use(root)


def metadata(folder: Path, draw: random.Random) -> None:
    root = fresh_dataset(folder)
    file = draw.choice(sorted((root / SHARD).rglob("zarr.json")))
    text = file.read_bytes()
    file.write_bytes(changed_json(text, draw) if draw.random() < 0.8 else changed(text, draw))
    try:
        reseal(root)
    except Exception:  # whoever crafts would do it by hand; this one's tool cannot
        return
    use(root)


def chunks(folder: Path, draw: random.Random) -> None:
    """Their bytes, with checksums and seals that agree."""
    root = fresh_dataset(folder)
    craft_fields(root, 4 * 9, lambda body: changed(body, draw))
    use(root)


def objects(folder: Path, draw: random.Random) -> None:
    """The bytes of an object or a table, sealed as they are."""
    root = fresh_dataset(folder)
    file = draw.choice([p for p in sorted((root / SHARD).rglob("c/**/*")) if p.is_file()])
    file.write_bytes(changed(file.read_bytes(), draw))
    try:
        reseal(root)
    except Exception:  # see `metadata`
        return
    use(root)


def checkpoint(folder: Path, draw: random.Random) -> None:
    kept, path = folder / "kept.pt", folder / "checkpoint.pt"
    if not kept.exists():
        state: dict[str, Any] = {"version": 3, "model": {"a": torch.zeros(3, 4), "b": torch.ones(2)}, "config": {}}
        torch.save({**state, "epoch": 1, "rng": {"torch": torch.get_rng_state()}, "history": {"epochs": [{}]}}, kept)
    path.write_bytes(changed(kept.read_bytes(), draw))
    check_form(load_checkpoint(path), path)


TARGETS: dict[str, Case] = {
    **{name: file_case(write) for name, write in FILES.items()},
    "zarr": group_case(FOLDERS["zarr"], "**/zarr.json"),
    "zarr2": group_case(FOLDERS["zarr2"], "**/.z*"),
    "zarr, chunks": group_case(FOLDERS["zarr"], "u/c/**/0"),
    "zarr2, chunks": group_case(FOLDERS["zarr2"], "u/0.*"),
    "domino": group_case(FOLDERS["domino"], "**/*"),
    "openfoam": group_case(FOLDERS["openfoam"], "**/*"),
    "ensight": group_case(FOLDERS["ensight"], "**/*", "a.case"),
    "noether": group_case(FOLDERS["noether"], "**/*"),
    "blocks": group_case(FOLDERS["blocks"], "**/*", "s.vtm"),
    "series": group_case(FOLDERS["series"], "**/*", "s.pvd"),
    **{f.__name__: f for f in (manifest, masked, seal, metadata, chunks, objects, checkpoint)},
    **RUN_TARGETS,
}


def late(number: int, frame: object) -> None:
    raise TimeoutError(f"takes longer than {SECONDS if number == signal.SIGPROF else HANGS} s")


def wrong_with(case: Case, folder: Path, number: int) -> str | None:
    """What is wrong about how a case ended; None: nothing."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(HANGS)
    try:
        case(folder, random.Random(number))
    except UpsDataError as error:
        return None if "\n" not in str(error) else f"several lines: {error}"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return None


def main(folder: Path, target: str, first: int, seconds: float) -> None:
    """Try; exits with 1 if anything was wrong, which then stands in `folder/wrong`."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for number_of_signal in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number_of_signal, late)
    case, end, number, failed = TARGETS[target], time.process_time() + seconds, first, False
    begun = limit = 0
    while time.process_time() < end or number == first:
        (folder / "case").write_text(str(number))
        if (says := wrong_with(case, folder, number)) is not None:
            failed = True
            with open(folder / "wrong", "a") as file:
                file.write(f"{target} {number}: {says}\n")
        number += 1
        if number == first + 20:  # by now everything is imported
            begun = resident()
            data = next(n for n in Path("/proc/self/status").read_text().splitlines() if n.startswith("VmData"))
            limit = int(data.split()[1]) * 1024 + ROOM
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if begun and resident() > begun + GROWTH:
            failed = True
            (folder / "wrong").write_text(f"{target} {first} to {number}: grew by {(resident() - begun) >> 20} MiB")
            break
    grown = max(0, resident() - begun) >> 20 if begun else 0
    (folder / "done").write_text(f"{number - first} cases, grew by {grown} MiB")
    os._exit(int(failed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
