from pathlib import Path

import numpy as np
import pytest

from tests.datasets import edit_manifest, write_grid
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.schema import MANIFEST, Manifest


@pytest.fixture
def root(tmp_path):
    write_grid(tmp_path / "d")
    return tmp_path / "d"


def test_what_is_saved_is_what_is_loaded(root, tmp_path):
    manifest = Manifest.load(root)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert manifest.grid.shape == (12, 10)
    assert manifest.params == ["nu"]


@pytest.mark.parametrize("path", ["train/a\nb.zarr", "train/\x1b[2J.zarr", "train/a\0b"])
def test_a_shard_path_of_control_characters_is_refused(root, path):
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(path=path))
    with pytest.raises(UpsDataError, match="characters that cannot be shown") as error:
        Manifest.load(root)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "path", ["../d/train/shard-000000.zarr", "/etc/passwd", "train/../../x", "C:/x", "s3://bucket/x", ""]
)
def test_a_shard_path_that_leaves_the_folder_is_refused(root, path):
    edit_manifest(root, lambda m: m["splits"]["train"]["shards"][0].update(path=path))
    with pytest.raises(UpsDataError, match="leaves the dataset's folder") as error:
        Manifest.load(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(version=3), "version"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m["fields"][0].update(name="../../x"), "fields.0.name"),
        (lambda m: m["fields"][0].update(dtype="object"), "fields.0.dtype"),
        (lambda m: m["fields"][0].update(channels=0), "fields.0.channels"),
        (lambda m: m.pop("grid"), "either a grid or points"),
        (lambda m: m["splits"]["train"]["statistics"].clear(), "statistics"),
        (lambda m: m["splits"]["train"]["shards"][0].update(steps=[]), "steps"),
        (lambda m: m.update(version=1), "made by an older version of ups_data .*make the dataset again"),
        (lambda m: m["splits"]["train"]["shards"][0].update(steps=[2**30] * 2), "claims 2,147,483,648 frames"),
        (
            lambda m: [a.update(physical=[0.0] * 50000, normalised=[0.0] * 50000) for a in m["grid"]["axes"]],
            "grid of",
        ),
        (lambda m: m["fields"][0].update(channels=2**40), "fields.0.channels"),
        (lambda m: m["fields"][0].update(units="m" * 20_000), "fields.0.units"),
        (lambda m: m["splits"]["train"]["shards"].append(m["splits"]["train"]["shards"][0]), "listed twice"),
        (
            lambda m: (
                m.update(grid=None, points={"num_points": 2**31 - 1, "dim": 3}),
                m["fields"][0].update(channels=99),
            ),
            "frames of",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_one_line(root, change, says):
    edit_manifest(root, change)
    with pytest.raises(UpsDataError, match=says) as error:
        Manifest.load(root)
    assert str(root / MANIFEST) in str(error.value)
    assert "\n" not in str(error.value)


def test_half_a_manifest_is_refused(root):
    text = (root / MANIFEST).read_text()
    (root / MANIFEST).write_text(text[: len(text) // 2])
    with pytest.raises(UpsDataError, match="not JSON"):
        Manifest.load(root)


def test_an_empty_folder_is_no_dataset(tmp_path):
    with pytest.raises(UpsDataError, match=r"no dataset here .*make one with `ups-data convert`"):
        Manifest.load(tmp_path)


def test_unknown_split_and_field_list_those_there_are(root):
    with pytest.raises(UpsDataError, match=r"no split 'val': the dataset has \['train'\]"):
        QueryLoader(root, split="val", batch_size=1, sampling=QuerySampling())
    with pytest.raises(UpsDataError, match=r"no field 'v': the dataset has \['u'\]"):
        QueryLoader(root, split="train", batch_size=1, sampling=QuerySampling(), target_fields=["v"])


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", '"' + "a" * 100])
def test_json_of_something_else(root, text):
    (root / MANIFEST).write_text(text)
    for edited in (False, True):
        with pytest.raises(UpsDataError) as error:
            Manifest.load(root, edited=edited)
        assert "\n" not in str(error.value)


def test_a_manifest_that_is_too_long(root, monkeypatch):
    monkeypatch.setattr("ups_data.schema.limits.JSON_BYTES", 1000)
    with pytest.raises(UpsDataError, match="longer than 1,000 bytes"):
        Manifest.load(root)


def test_an_edit_is_noticed_and_may_be_accepted(root):
    text = (root / MANIFEST).read_text()
    assert text.count('"nu"') == 2
    for edit in (lambda t: t.replace('"nu"', '"mu"'), lambda t: t + "\n", lambda t: t.replace("{\n", "{\n\n", 1)):
        (root / MANIFEST).write_text(edit(text))
        with pytest.raises(UpsDataError, match=r"is damaged or was edited.*edited=True\)\.save\("):
            Manifest.load(root)
    (root / MANIFEST).write_text(text.replace('"nu"', '"mu"'))
    Manifest.load(root, edited=True).save(root)
    assert Manifest.load(root).params == ["mu"]


def test_a_trajectory_is_known_by_its_source(tmp_path: Path) -> None:
    """Numbers count through the shards of a split; a changed table is not believed."""
    with ShardWriter(tmp_path / "d", shard_bytes=1) as writer:
        for number in range(3):
            u = np.zeros((2 + number, 4, 4, 1), np.float32)
            writer.add({"u": u}, split="valid", key=f"run {number}", source=f"{number}.h5")
    manifest = Manifest.load(tmp_path / "d")
    assert len(manifest.split("valid").shards) == 3
    found = [manifest.trajectory("valid", number) for number in range(3)]
    assert [(f.source, f.key, f.row, f.steps) for f in found] == [
        (f"{number}.h5", f"run {number}", 0, 2 + number) for number in range(3)
    ]
    for number in (-1, 3):
        with pytest.raises(UpsDataError, match="it has 0 to 2"):
            manifest.trajectory("valid", number)
    table = tmp_path / "d" / found[1].shard / "trajectories" / "zarr.json"
    table.write_text(table.read_text().replace("1.h5", "9.h5"))
    with pytest.raises(UpsDataError, match="damaged"):
        manifest.trajectory("valid", 1)
    with pytest.raises(UpsDataError, match="not loaded"):
        Manifest.model_validate(manifest.model_dump()).trajectory("valid", 0)
