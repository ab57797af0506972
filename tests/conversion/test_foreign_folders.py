"""A conversion into a folder that somebody else has prepared: nothing outside of it is made, changed or removed."""

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import digests
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.work_folder import FOLDER
from ups_data.writing.add_importance import add_importance

U = np.random.default_rng(0).standard_normal((4, 2, 8, 8, 1)).astype(np.float32)
SHARD = U[0].nbytes  # one trajectory


class Ended(Exception):
    """Stands for anything that ends a conversion."""


@pytest.fixture
def around(tmp_path: Path) -> Path:
    """A folder with a source and with somebody's data, `evil`; conversions go to `out` in it."""
    np.save(tmp_path / "u.npy", U)
    (tmp_path / "evil" / "shard-000000.zarr").mkdir(parents=True)
    (tmp_path / "evil" / "shard-000000.zarr" / "zarr.json").write_text("mine")
    (tmp_path / "evil" / "notes.txt").write_text("mine")
    return tmp_path


def outside(folder: Path) -> dict[str, str]:
    """Everything in it but what is in `out`."""
    return {name: digest for name, digest in digests(folder).items() if not name.startswith("out/")}


def end_early(done: int, total: int) -> None:
    if done >= 2:
        raise Ended


def begin(around: Path) -> dict:
    """An unfinished conversion into `out`; returns its plan."""
    with pytest.raises(Ended):
        convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD, progress=end_early)
    return json.loads((around / "out" / FOLDER / "plan.json").read_text())


def refused(around: Path, says: str, **options: object) -> None:
    before = outside(around)
    with pytest.raises(UpsDataError, match=says) as error:
        convert(around / "u.npy", around / "out", **{"split": {"train": 1.0}, "shard_bytes": SHARD, **options})
    assert "\n" not in str(error.value)
    assert outside(around) == before


@pytest.mark.parametrize("name", ["../evil", "{}/evil", "..", ".", "", "a/b", "a\n", ".conversion", "dataset.json"])
def test_names_of_splits_are_names_of_folders(around, name):
    refused(around, "cannot name a folder", split={name.format(around): 1.0})
    assert not (around / "out").exists()
    with (
        pytest.raises(UpsDataError, match="cannot name a folder"),
        ShardWriter(around / "out", shard_bytes=1) as writer,
    ):
        writer.add({"u": U[0]}, split=name.format(around))
    assert (around / "evil" / "notes.txt").read_text() == "mine"


def test_a_split_that_a_source_brings_is_a_name_too(around, monkeypatch):
    from ups_data.sources.numpy.files import NpySource

    monkeypatch.setattr(NpySource, "splits", lambda self: ["../evil"] * len(self))
    refused(around, "cannot name a folder", split=None)


PLANS = {
    "split": lambda plan: [shard.update(split="../evil", path=f"../{shard['path']}") for shard in plan["shards"]],
    "path": lambda plan: plan["shards"][0].update(path="../evil/shard-000000.zarr"),
    "absolute": lambda plan: plan["shards"][0].update(path="/tmp/evil/shard-000000.zarr"),
    "of another split": lambda plan: plan["shards"][0].update(path="valid/shard-000000.zarr"),
    "twice": lambda plan: plan["shards"].append(plan["shards"][0]),
    "split of another": lambda plan: [
        shard.update(split="valid", path=shard["path"].replace("train", "valid")) for shard in plan["shards"]
    ],
    "beyond": lambda plan: plan["shards"][3].update(trajectories=[4]),
    "negative": lambda plan: plan["shards"][3].update(trajectories=[-1]),
    "like": lambda plan: plan.update(like=10**30),
    "no shards": lambda plan: plan.update(shards=[]),
    "nothing": lambda plan: plan.clear(),
}


@pytest.mark.parametrize("change", PLANS)
def test_a_crafted_plan_is_refused(around, change):
    plan = begin(around)
    PLANS[change](plan)
    (around / "out" / FOLDER / "plan.json").write_text(json.dumps(plan))
    inside = digests(around / "out")
    refused(around, "plan")
    assert digests(around / "out") == inside


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_a_plan_that_is_no_file_is_refused(around, kind):
    plan = begin(around)
    path = around / "out" / FOLDER / "plan.json"
    (around / "evil" / "plan.json").write_text(json.dumps(plan))
    path.unlink()
    {"pipe": os.mkfifo, "link": lambda p: p.symlink_to(around / "evil" / "plan.json"), "folder": Path.mkdir}[kind](path)
    refused(around, "plan.json: is damaged")


@pytest.mark.parametrize("name", [FOLDER, f"{FOLDER}/writing", "train", "train/shard-000000.zarr"])
@pytest.mark.parametrize("begun", [False, True])
def test_links_that_lead_out_are_not_followed(around, name, begun):
    """Neither to write nor to remove."""
    if begun:
        begin(around)
    path = around / "out" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(around / "aside")
    path.symlink_to(around / "evil", target_is_directory=True)
    refused(around, "link|not an empty folder")
    assert path.is_symlink()


def test_a_link_to_the_folder_of_the_dataset_itself_is_followed(around):
    (around / "elsewhere").mkdir()
    (around / "out").symlink_to(around / "elsewhere", target_is_directory=True)
    convert(around / "u.npy", around / "out", shard_bytes=SHARD)
    assert (around / "elsewhere" / "dataset.json").exists()


@pytest.mark.parametrize(
    "name", [f"{FOLDER}/.lock", f"{FOLDER}/plan.json.{{}}", f"{FOLDER}/train-shard-000001.json.{{}}"]
)
def test_files_that_are_written_follow_no_link(around, name):
    """The lock, and the files aside that replace others in one step."""
    begin(around)
    folder, _, file = name.rpartition("/")
    file = f".{file.format(os.getpid())}" if "{" in name else file
    path = around / "out" / folder / file
    path.unlink(missing_ok=True)
    path.symlink_to(around / "evil" / "notes.txt")
    before = outside(around)
    with suppress(UpsDataError):  # of the lock; the others are replaced
        convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD)
    assert outside(around) == before


def test_what_is_recorded_of_a_shard_must_be_of_that_shard(around):
    """Records of other shards, of other files and of nothing: the shards are made again."""
    begin(around)
    convert(around / "u.npy", around / "whole", split={"train": 1.0}, shard_bytes=SHARD)
    records = around / "out" / FOLDER
    one, two = (records / f"train-shard-00000{i}.json" for i in range(2))
    good = json.loads(one.read_text())
    for change in (
        lambda r: r["written"]["spec"].update(path="../evil/shard-000000.zarr"),
        lambda r: r["written"]["spec"].update(steps=[2, 2]),
        lambda r: r["written"]["spec"].update(digest="sha256:0"),
        lambda r: r["written"]["fields"].clear(),
        lambda r: r["written"]["fields"]["data"]["values"].update(count=[1, 2]),
        lambda r: r["written"]["fields"]["data"]["values"].update(count=[2**64]),
        lambda r: r["written"]["params"].update(nonfinite=-1),
        lambda r: r.update(left_out={"7": {"key": "", "source": "", "reason": ""}}),
        lambda r: r.update(written=None),
    ):
        record = json.loads(json.dumps(good))
        change(record)
        one.write_text(json.dumps(record))
        two.write_text("[" * 100_000)
        with pytest.raises(Ended):
            convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD, progress=end_early)
    convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD)
    assert digests(around / "out") == digests(around / "whole")


def test_what_was_there_stays_if_nothing_is_finished(around):
    """Of a conversion that was begun, its plan; of a folder, what others have put into it meanwhile."""

    def told(done: int, total: int) -> None:
        (around / "out" / "notes.txt").write_text("mine")
        raise Ended

    with pytest.raises(Ended):
        convert(around / "u.npy", around / "out", shard_bytes=SHARD, progress=told)
    assert digests(around / "out").keys() == {"notes.txt"}
    with pytest.raises(KeyboardInterrupt), ShardWriter(around / "written", shard_bytes=1) as writer:
        writer.add({"u": U[0]})
        (around / "written" / "train" / "notes.txt").write_text("mine")
        raise KeyboardInterrupt
    assert digests(around / "written").keys() == {"train/notes.txt"}


def test_importance_is_added_within_the_dataset_only(around):
    """Folders beside the shards of a split that is a link are somebody else's."""
    convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD)
    (around / "out" / "train").rename(around / "evil" / "train")
    (around / "out" / "train").symlink_to(around / "evil" / "train")
    (around / "evil" / "train" / ".adding-mine.zarr").mkdir()
    (around / "evil" / "train" / ".adding-mine.zarr" / "x").write_text("mine")
    before = outside(around)
    with pytest.raises(UpsDataError, match="link"):
        add_importance(around / "out", ["gradient"])
    assert outside(around) == before


def test_adding_importance_removes_what_it_replaced_and_no_more(around):
    convert(around / "u.npy", around / "out", split={"train": 1.0}, shard_bytes=SHARD)
    for name in ("shard-mine.zarr", ".adding-mine.zarr", "shard-000009.zarr"):
        (around / "out" / "train" / name).mkdir()
        (around / "out" / "train" / name / "x").write_text("mine")
    add_importance(around / "out", ["gradient"])
    kept = {p.name for p in (around / "out" / "train").iterdir()}
    assert kept == {
        *(f"shard-00000{i}-gradient.zarr" for i in range(4)),
        *("shard-mine.zarr", ".adding-mine.zarr", "shard-000009.zarr"),
    }
