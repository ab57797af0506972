"""The same command after new files came: new shards, old ones untouched, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import digests
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.atomic import exclusive
from ups_data.conversion.convert import convert
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.conversion.splitting.by_time import ByTime
from ups_data.conversion.work_folder import FOLDER, WorkFolder
from ups_data.schema import MANIFEST, Manifest
from ups_data.store.memory import MemoryStore
from ups_data.store.moving.copying import copy_dataset
from ups_data.store.verify import verify_dataset
from ups_data.writing.add_importance import add_importance

OPTIONS = {"shard_bytes": 24000, "blocks": 4, "codec": "lz4"}


def add_runs(folder: Path, *numbers: int, shape: tuple[int, ...] = (1, 6, 8, 8, 2)) -> Path:
    """A file of one run for each number; they sort in the order of their digits reversed, so that new ones come between
    old ones."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        u = np.random.default_rng(number).standard_normal(shape).astype(np.float32)
        np.savez(folder / f"run_{f'{number:02d}'[::-1]}.npz", u=u)
    return folder


def shards_of(root: Path) -> dict[str, str]:
    return {name: digest for name, digest in digests(root).items() if ".zarr/" in name}


def splits_of(root: Path) -> dict[tuple[str, str], str]:
    manifest = Manifest.load(root)
    return {(o.source, o.key): split for split in manifest.splits for o in manifest.origins(split)}


def refused(says: str, source: Path, out: Path, **options: object) -> None:
    """With nothing changed."""
    before = digests(out)
    with pytest.raises(UpsDataError, match=says) as error:
        convert(source, out, **{**OPTIONS, **options})
    assert "\n" not in str(error.value)
    assert digests(out) == before


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, Path]:
    """Ten runs, and their dataset."""
    folder = tmp_path_factory.mktemp("first")
    raw = add_runs(folder / "raw", *range(10))
    convert(raw, folder / "d", **OPTIONS)
    return raw, folder / "d"


@pytest.fixture
def begun(first) -> tuple[Path, Path]:
    """The same paths, as they were: paths are a part of what a dataset is of."""
    raw, out = first
    kept = raw.with_name("kept")
    if not kept.exists():
        shutil.copytree(raw, kept / "raw")
        shutil.copytree(out, kept / "d")
    for path in (raw, out):
        shutil.rmtree(path)
        shutil.copytree(kept / path.name, path)
    return raw, out


def test_five_rounds_leave_old_shards_as_they_are(tmp_path, begun):
    raw, out = begun
    for number in range(5):
        old_shards, old_splits = shards_of(out), splits_of(out)
        add_runs(raw, *range(10 + 3 * number, 13 + 3 * number))
        convert(raw, out, **OPTIONS)
        new_shards, new_splits = shards_of(out), splits_of(out)
        assert old_shards.items() < new_shards.items()
        assert old_splits.items() < new_splits.items()
        assert len(new_splits) == len(old_splits) + 3
    assert not (out / FOLDER).exists()
    assert verify_dataset(out) == []
    sizes = {name: split.num_trajectories for name, split in Manifest.load(out).splits.items()}
    assert sizes == {"train": 20, "valid": 3, "test": 2}  # 80/10/10 of 25, by largest remainder
    # Statistics are those of one conversion of all, of the same runs in each split.
    names: dict[str, list[dict[str, str]]] = {}
    for (source, key), split in splits_of(out).items():
        names.setdefault(split, []).append({"source": Path(source).name, "key": key})
    (tmp_path / "splits.json").write_text(json.dumps(names))
    whole = convert(raw, tmp_path / "whole", split=ByFile(tmp_path / "splits.json", raw), **OPTIONS)
    for split, spec in Manifest.load(out).splits.items():
        one, other = spec.statistics["u"].model_dump(), whole.splits[split].statistics["u"].model_dump()
        for name, value in one.items():
            np.testing.assert_allclose(np.array(value, float), np.array(other[name], float), rtol=1e-12, err_msg=name)
        assert spec.time_step.mean == whole.splits[split].time_step.mean
    before = digests(out)
    convert(raw, out, **OPTIONS)  # nothing is new
    assert digests(out) == before


def test_a_copy_is_appended_to_as_its_original_is(tmp_path, begun):
    """Also a copy of a copy, by way of another store; the bytes are the same."""
    raw, out = begun
    passing = MemoryStore()
    copy_dataset(out, passing)
    copy_dataset(passing, tmp_path / "copy")
    assert digests(tmp_path / "copy") == digests(out)
    add_runs(raw, 10, 11)
    for root in (out, tmp_path / "copy"):
        convert(raw, root, **OPTIONS)
    assert digests(tmp_path / "copy") == digests(out)
    assert len(splits_of(out)) == 12
    refused("already holds a dataset, and .*", raw, tmp_path / "copy", **{"blocks": 2})


def test_new_shards_have_the_importance_that_was_added(begun, monkeypatch):
    """And an append during which it is added does not take its place."""
    raw, out = begun
    add_runs(raw, 10, 11)
    monkeypatch.setattr(WorkFolder, "check_published", lambda *_: add_importance(out, ["gradient"]))
    with pytest.raises(UpsDataError, match="was changed meanwhile: run the same command again"):
        convert(raw, out, **OPTIONS)
    monkeypatch.undo()
    assert len(splits_of(out)) == 10
    assert verify_dataset(out) == []
    convert(raw, out, **OPTIONS)
    assert len(splits_of(out)) == 12
    assert verify_dataset(out) == []
    assert not (out / FOLDER).exists()
    for split, spec in Manifest.load(out).splits.items():
        for shard in spec.shards:
            assert len(list((out / shard.path).rglob("gradient*"))) == 1, split
    sampling = QuerySampling(ratio=0.3, mode="importance", importance_metric="gradient")
    assert len(list(QueryLoader(out, split="train", batch_size=4, sampling=sampling))) > 0


KILLED = """
import os, signal, sys
from pathlib import Path
from ups_data.conversion import work_folder
from ups_data.conversion.convert import convert
from ups_data.conversion.fingerprint import Identity
from ups_data.schema import Manifest
def killed(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)
where = sys.argv[3]
if where == "shard":
    publish, left = work_folder.WorkFolder.publish, [1]
    def counting(*args):
        publish(*args)
        left[0] -= 1
        left[0] or killed()
    work_folder.WorkFolder.publish = counting
elif where == "record":
    work_folder.Record.to_bytes = killed
elif where == "manifest":
    Manifest.save = killed
else:
    work_folder.WorkFolder.remove = killed
convert(sys.argv[1], sys.argv[2], shard_bytes=24000, blocks=4, codec="lz4")
"""


@pytest.mark.parametrize(
    "where",
    ["manifest", *(pytest.param(w, marks=pytest.mark.faults) for w in ("shard", "record", "removal"))],
)
def test_a_kill_leaves_the_old_dataset_and_the_same_command_goes_on(tmp_path, begun, where):
    raw, out = begun
    old, runs = (out / MANIFEST).read_bytes(), splits_of(out)
    add_runs(raw, *range(10, 18))
    shutil.copytree(out, tmp_path / "aside")
    convert(raw, out, **OPTIONS)
    undisturbed = digests(out)
    shutil.rmtree(out)
    shutil.copytree(tmp_path / "aside", out)
    killed = subprocess.run([sys.executable, "-c", KILLED, raw, out, where], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if where != "removal":
        assert (out / MANIFEST).read_bytes() == old
        assert splits_of(out) == runs
    assert verify_dataset(out) == []
    batches = list(QueryLoader(out, split="valid", batch_size=1, sampling=0.5))
    assert batches
    convert(raw, out, **OPTIONS)
    assert digests(out) == undisturbed


def test_an_append_that_is_not_finished_gives_way_to_a_larger_one(begun):
    raw, out = begun
    add_runs(raw, *range(10, 22))

    def end(done: int, total: int) -> None:
        if done > 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(raw, out, progress=end, **OPTIONS)
    unfinished = digests(out)
    assert f"{FOLDER}/plan.json" in unfinished
    refused("the option blocks was 4, it is 1", raw, out, blocks=1)
    assert digests(out) == unfinished
    add_runs(raw, 22)
    convert(raw, out, **OPTIONS)
    assert len(splits_of(out)) == 23
    assert verify_dataset(out) == []
    listed = {shard.path for split in Manifest.load(out).splits.values() for shard in split.shards}
    assert {str(p.relative_to(out)) for p in out.glob("*/*.zarr")} == listed


def test_two_at_once(begun):
    raw, out = begun
    add_runs(raw, 10)
    (out / FOLDER).mkdir()
    with exclusive(out / FOLDER / ".lock"):
        before = digests(out)
        with pytest.raises(UpsDataError, match="another conversion into this folder is under way"):
            convert(raw, out, **OPTIONS)
        assert digests(out) == before
    convert(raw, out, **OPTIONS)
    assert len(splits_of(out)) == 11


def test_what_cannot_be_appended_changes_nothing(tmp_path, begun):
    raw, out = begun
    refused('the option codec was "lz4", it is "none"', raw, out, codec="none")
    add_runs(raw, 20, shape=(1, 6, 8, 9, 2))
    refused("put runs of different shapes into different datasets", raw, out)
    add_runs(raw, 20, shape=(1, 6, 8, 8, 3))
    refused("has shape .* the first trajectory had", raw, out)
    add_runs(raw, 20)
    refused("the option codec was", raw, out, codec="zstd")
    add_runs(raw, 0, shape=(1, 7, 8, 8, 2))
    refused("run_00.npz of the source has changed.*`ups-data merge`", raw, out)
    (raw / "run_00.npz").unlink()
    refused("run_00.npz of the source is gone.*`ups-data merge`", raw, out)
    with ShardWriter(tmp_path / "w") as writer:
        writer.add({"u": np.zeros((3, 4, 4, 1), np.float32)})
    refused("does not say what it was converted from.*`ups-data merge`", raw, tmp_path / "w")


def test_rules_go_on_and_move_nothing(tmp_path):
    raw, out = add_runs(tmp_path / "raw", 0, 1), tmp_path / "d"
    rule = ByTime("train=..3,valid=4..")
    convert(raw, out, split=rule)
    add_runs(raw, 2, 10)
    convert(raw, out, split=rule)
    expected = {f"{key}": split for key, split in (("0000[0:3]", "train"), ("0000[4:6]", "valid"))}
    assert {(Path(s).name, k): v for (s, k), v in splits_of(out).items()} == {
        (path.name, key): split for path in raw.iterdir() for key, split in expected.items()
    }
    # A file of names may grow, but not move a run.
    out, file = tmp_path / "e", tmp_path / "splits.json"
    names = {"train": ["run_00.npz", "run_10.npz"], "valid": ["run_20.npz"]}

    def name(**more: list[str]) -> ByFile:
        listed = {split: [{"source": s, "key": "0000"} for s in more.get(split, names[split])] for split in names}
        file.write_text(json.dumps(listed))
        return ByFile(file, raw)

    convert(raw, out, split=name())
    assert [entry.source for entry in Manifest.load(out).left_out or ()] == [str(raw / "run_01.npz")]
    add_runs(raw, 3)
    refused(
        "is in the split 'valid' and would move to 'train'",
        raw,
        out,
        **{k: v for k, v in ()},
        split=name(train=["run_00.npz", "run_10.npz", "run_20.npz"], valid=["run_30.npz"]),
        shard_bytes=512 * 1024**2,
        blocks=1,
        codec="none",
    )
    convert(raw, out, split=name(valid=["run_20.npz", "run_30.npz"]))
    assert splits_of(out)[str(raw / "run_30.npz"), "0000"] == "valid"


def test_a_loaders_state_across_an_append(begun):
    """Of a split that has got more it is refused, of another one it is exact."""
    raw, out = begun
    split_of_new = {}

    def loader(split: str) -> QueryLoader:
        return QueryLoader(out, split=split, batch_size=2, sampling=0.5, shuffle=True, seed=3)

    states, rest = {}, {}
    for split in ("train", "test"):
        running = loader(split)
        taken = iter(running)
        next(taken)
        states[split] = running.state_dict()
        rest[split] = [batch.target_queries.values["u"].clone() for batch in taken]
    add_runs(raw, 10)
    convert(raw, out, **OPTIONS)
    split_of_new = {split for (source, _), split in splits_of(out).items() if source.endswith("run_01.npz")}
    assert split_of_new == {"train"}
    with pytest.raises(UpsDataError, match="of another run: dataset was .* set_epoch") as error:
        loader("train").load_state_dict(states["train"])
    assert "\n" not in str(error.value)
    again = loader("test")
    again.load_state_dict(states["test"])
    found = [batch.target_queries.values["u"] for batch in again]
    assert len(found) == len(rest["test"])
    assert all((a == b).all() for a, b in zip(found, rest["test"], strict=True))


@pytest.mark.faults
def test_two_processes_at_once(begun):
    raw, out = begun
    add_runs(raw, *range(10, 20))
    script = (
        "import sys; from ups_data.conversion.convert import convert; convert(*sys.argv[1:3], shard_bytes=24000, "
        "blocks=4, codec='lz4')"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, raw, out], stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 1], [0, 0])  # the second may have come when the first was done
    assert codes == [0, 0] or any("is under way" in text for text in said)
    assert len(splits_of(out)) == 20
    assert verify_dataset(out) == []
