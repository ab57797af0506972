"""Two datasets in one: the same files, pooled statistics, and what is refused."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.faults.conversion_process import digests
from tests.serving_s3 import environment, new_bucket, s3_server
from ups_data import QueryLoader, ShardWriter, UpsDataError
from ups_data.cli.main import app
from ups_data.schema import MANIFEST, Manifest
from ups_data.store.memory import MemoryStore
from ups_data.store.moving.copying import copy_dataset
from ups_data.store.root import open_store
from ups_data.store.verify import verify_dataset
from ups_data.trajectory import Axis
from ups_data.writing.joining import merge as merging
from ups_data.writing.joining.merge import merge


def write(root: Path, *numbers: int, points: bool = False, units: str | None = "m/s", **options: object) -> Path:
    """Runs of unequal length: the last one in `valid`, the others in `train`."""
    with ShardWriter(root, shard_bytes=3000, **options) as writer:  # type: ignore[arg-type]
        for number in numbers:
            rng, steps = np.random.default_rng(number), 3 + number % 3
            size = 40 + number if points else 30
            u = (rng.standard_normal((steps, size, 2)) * [1, 50] + number).astype(np.float32)
            u = u if points else u.reshape(steps, 5, 6, 2)
            writer.add(
                {"u": u},
                split="valid" if number == numbers[-1] else "train",
                time=(1 + number) * np.arange(steps),
                params={"nu": 0.5 * number},
                coords=rng.random((size, 2)).astype(np.float32) * (1 + number) if points else None,
                units={"u": units} if units else None,
                key=f"{number:04d}",
                source="runs.h5",
            )
    return root


@pytest.mark.parametrize("points", [False, True], ids=["grid", "clouds"])
def test_a_merged_dataset_is_both(tmp_path, points):
    one = write(tmp_path / "a", 0, 1, 2, points=points)
    other = write(tmp_path / "b", 5, 3, 4, 6, points=points) if not points else _clouds_like(tmp_path)
    before = digests(one), digests(other)
    manifest = merge(one, other, tmp_path / "c")
    assert (digests(one), digests(other)) == before
    assert verify_dataset(tmp_path / "c") == []
    with ShardWriter(tmp_path / "whole", shard_bytes=3000) as writer:
        for root in (one, other):
            _copy_runs(root, writer, points)
    whole = Manifest.load(tmp_path / "whole")
    assert list(manifest.splits) == ["train", "valid"]
    for split, spec in manifest.splits.items():
        expected = whole.splits[split]
        keys = [o.key for root in (one, other) for o in Manifest.load(root).origins(split)]
        assert [o.key for o in manifest.origins(split)] == keys
        pairs = [
            (spec.statistics["u"].model_dump(), expected.statistics["u"].model_dump()),
            (spec.params["nu"].model_dump(), expected.params["nu"].model_dump()),
            (spec.time_step.model_dump(), expected.time_step.model_dump()),
            *([(spec.coords[""].model_dump(), expected.coords[""].model_dump())] if points else []),
        ]
        for mine, theirs in pairs:
            for name in mine:
                np.testing.assert_allclose(
                    np.array(mine[name], float), np.array(theirs[name], float), rtol=1e-12, atol=1e-14, err_msg=name
                )
    # Files are the same, and not copies.
    shard = manifest.splits["train"].shards[-1]
    files = [p for p in (tmp_path / "c" / shard.path).rglob("*") if p.is_file()]
    assert files
    assert all(p.stat().st_nlink == 2 for p in files)
    all_points = {"batch_size": 1, "sampling": 1.0, "shuffle": False, "coords": "source", "ragged": "pad"}
    for split in ("train", "valid"):
        batches = [list(QueryLoader(tmp_path / name, split=split, **all_points)) for name in ("c", "whole")]
        assert len(batches[0]) == sum(sum(s.steps) - len(s.steps) for s in manifest.splits[split].shards)
        for mine, theirs in zip(*batches, strict=True):
            assert (mine.target_queries.values["u"] == theirs.target_queries.values["u"]).all()
            assert (mine.target_queries.coords == theirs.target_queries.coords).all()


def _clouds_like(folder: Path) -> Path:
    """The first trajectory of a dataset fixes the size of blocks: this one's first is as large as the other's."""
    root = folder / "b"
    with ShardWriter(root, shard_bytes=3000) as writer:
        for number, size in ((7, 40), (8, 55)):
            rng = np.random.default_rng(number)
            writer.add(
                {"u": rng.standard_normal((4, size, 2)).astype(np.float32)},
                split="valid" if number == 8 else "train",
                params={"nu": 1.0 * number},
                coords=rng.random((size, 2)).astype(np.float32),
                key=f"{number:04d}",
                units={"u": "m/s"},
            )
    return root


def _copy_runs(root: Path, writer: ShardWriter, points: bool) -> None:
    """The runs of a dataset that `write` or `_clouds_like` made, once more."""
    for split in ("train", "valid"):
        for number, size in [(int(o.key), o) for o in Manifest.load(root).origins(split)]:
            clouds = root.name == "b" and points
            rng, steps = np.random.default_rng(number), 4 if clouds else 3 + number % 3
            count = {7: 40, 8: 55}[number] if clouds else 40 + number if points else 30
            if clouds:
                u, scale = rng.standard_normal((steps, count, 2)).astype(np.float32), 1
            else:
                u, scale = (rng.standard_normal((steps, count, 2)) * [1, 50] + number).astype(np.float32), 1 + number
            assert size.steps == steps
            writer.add(
                {"u": u if points else u.reshape(steps, 5, 6, 2)},
                split=split,
                time=None if clouds else (1 + number) * np.arange(steps),
                params={"nu": (1.0 if clouds else 0.5) * number},
                coords=rng.random((count, 2)).astype(np.float32) * scale if points else None,
                key=size.key,
                units={"u": "m/s"},
            )


def test_statistics_of_a_field_with_nan_are_pooled_over_what_is_finite(tmp_path):
    frames = np.random.default_rng(0).standard_normal((2, 4, 3, 3, 2)).astype(np.float32)
    frames[0, 1, :2, :, 0] = frames[1, 3, 2, 2, 1] = np.nan
    for name, runs in (("a", frames[:1]), ("b", frames[1:]), ("whole", frames)):
        with ShardWriter(tmp_path / name, allow_nonfinite=True) as writer:
            for number, u in enumerate(runs):
                writer.add({"u": u}, key=f"{name}{number}")
    found = merge(tmp_path / "a", tmp_path / "b", tmp_path / "c").splits["train"].statistics["u"]
    expected = Manifest.load(tmp_path / "whole").splits["train"].statistics["u"]
    assert (found.count, found.counts, found.delta_counts, found.nonfinite) == (71, [66, 71], [42, 53], 7)
    for name in ("mean", "std", "rms", "min", "max", "delta_mean", "delta_std", "delta_rms"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, err_msg=name)
    values = frames.reshape(-1, 2)
    np.testing.assert_allclose(found.std, np.nanstd(values.astype(float), axis=0), rtol=1e-12)


def test_where_files_cannot_be_linked_they_are_copied(tmp_path, monkeypatch):
    one, other = write(tmp_path / "a", 0, 1), write(tmp_path / "b", 3, 4)

    def link(*args: object, **more: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    merge(one, other, tmp_path / "c")
    assert verify_dataset(tmp_path / "c") == []


def test_a_merged_dataset_has_a_card(tmp_path):
    one, other = (str(write(tmp_path / name, *numbers)) for name, numbers in (("a", (0, 1)), ("b", (2, 3))))
    for name, options in (("c", []), ("d", ["--no-card"])):
        done = CliRunner().invoke(app, ["merge", one, other, "--out", str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
    text = (tmp_path / "c/README.md").read_text()
    assert f"# Dataset of `{one} and {other}`" in text
    assert (tmp_path / "c/card/u.png").exists()
    assert not (tmp_path / "d/README.md").exists()


def test_what_cannot_be_merged(tmp_path, monkeypatch):
    one = write(tmp_path / "a", 0, 1)
    out = tmp_path / "c"

    def refused(says: str, other: Path, **more: bool) -> None:
        with pytest.raises(UpsDataError, match=says) as error:
            merge(one, other, out, **more)
        assert "\n" not in str(error.value)
        assert not list(tmp_path.glob("*c*"))

    refused("is in 'a'|too: merge what is different", one)
    refused(
        "the run 0001 of runs.h5 is in 'valid' of .* and in 'train' of .* --same-names", write(tmp_path / "b", 1, 5)
    )
    refused("'u' is in m/s, the others' is in km/h", write(tmp_path / "d", 3, units="km/h"))
    refused("codec is none, the others' is lz4", write(tmp_path / "e", 3, codec="lz4"))
    refused("dtype of 'u': float32, the others' float16", write(tmp_path / "f", 3, cast="float16"))
    refused("geometry is a grid of .*, the others' is points", write(tmp_path / "g", 3, points=True))
    with ShardWriter(tmp_path / "h") as writer:
        axes = [Axis("y", np.linspace(0, 2, 5)), Axis("x", np.linspace(0, 1, 6))]
        writer.add({"u": np.zeros((3, 5, 6, 2), np.float32)}, params={"nu": 0.0}, axes=axes)
    refused("its axis 'y' is another", tmp_path / "h")
    other = write(tmp_path / "i", 3, 4)
    (other / Manifest.load(other).splits["train"].shards[0].path / "zarr.json").unlink()
    refused("is damaged or being written", other)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(merging, "_link", full)
    refused("No space left on device", write(tmp_path / "j", 3, 4))
    merged = write(tmp_path / "k", 1, 5)
    monkeypatch.undo()
    assert merge(one, merged, out, same_names=True).splits["train"].num_trajectories == 2


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_datasets_in_stores(tmp_path, kind, monkeypatch):
    """The bytes are those of a merge of folders, whichever of the three lies in a store."""
    folders = write(tmp_path / "a", 0, 1, 2), write(tmp_path / "b", 5, 3, 4)
    merge(*folders, tmp_path / "c")
    expected = digests(tmp_path / "c")
    with ExitStack() as stack:
        if kind == "s3":
            options = stack.enter_context(s3_server())
            for name, value in environment(options).items():
                monkeypatch.setenv(name, value)
            stores = [f"{new_bucket(options)}/run" for _ in range(3)]
        else:
            stores = [MemoryStore() for _ in range(3)]
        for folder, store in zip(folders, stores, strict=False):
            copy_dataset(folder, store)
        # What a dataset came from is named by its place where it does not say it: the sources are made alike here.
        for number, (one, other) in enumerate([(stores[0], folders[1]), (folders[0], stores[1]), stores[:2]]):
            merge(one, other, out := tmp_path / f"out-{number}")
            found = digests(out)
            assert {name for name in found if found[name] != expected[name]} <= {MANIFEST}
            assert found.keys() == expected.keys()
            assert verify_dataset(out) == []
        told = []
        merged = merge(stores[0], folders[1], stores[2], progress=lambda done, total: told.append((done, total)))
        assert told[-1][0] == told[-1][1] > 0
        assert verify_dataset(stores[2]) == []
        assert {key for key, _ in open_store(stores[2]).list("")} == expected.keys()  # its openings, too
        assert {s: v.num_trajectories for s, v in merged.splits.items()} == {"train": 4, "valid": 2}
        with pytest.raises(UpsDataError, match="already holds a dataset"):
            merge(*folders, stores[2])
        key = next(key for key, _ in open_store(stores[0]).list("train") if "/fields/u/c/" in key)
        data = bytearray(open_store(stores[0]).get(key, 10**6))
        data[3] ^= 1
        open_store(stores[0]).put(key, bytes(data))
        for out in (tmp_path / "damaged", MemoryStore()):
            with pytest.raises(UpsDataError, match="is damaged"):
                merge(stores[0], folders[1], out)
            with pytest.raises(UpsDataError, match=MANIFEST):
                Manifest.load(out)
