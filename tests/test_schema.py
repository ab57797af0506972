import json

import pytest

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.schema import MANIFEST, Manifest


@pytest.fixture
def root(tmp_path):
    write_grid(tmp_path / "d")
    return tmp_path / "d"


def edit(root, change):
    manifest = json.loads((root / MANIFEST).read_text())
    change(manifest)
    (root / MANIFEST).write_text(json.dumps(manifest))


def test_what_is_saved_is_what_is_loaded(root, tmp_path):
    manifest = Manifest.load(root)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert manifest.grid.shape == (12, 10)
    assert manifest.params == ["nu"]


@pytest.mark.parametrize(
    "path", ["../d/train/shard-000000.zarr", "/etc/passwd", "train/../../x", "C:/x", "s3://bucket/x", ""]
)
def test_a_shard_path_that_leaves_the_folder_is_refused(root, path):
    edit(root, lambda m: m["splits"]["train"]["shards"][0].update(path=path))
    with pytest.raises(UpsDataError, match="leaves the dataset's folder") as error:
        Manifest.load(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(version=2), "version"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m["fields"][0].update(name="../../x"), "fields.0.name"),
        (lambda m: m["fields"][0].update(dtype="object"), "fields.0.dtype"),
        (lambda m: m["fields"][0].update(channels=0), "fields.0.channels"),
        (lambda m: m.pop("grid"), "either a grid or points"),
        (lambda m: m["splits"]["train"]["statistics"].clear(), "statistics"),
        (lambda m: m["splits"]["train"]["shards"][0].update(steps=[]), "steps"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_one_line(root, change, says):
    edit(root, change)
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
    with pytest.raises(UpsDataError, match=r"no dataset here .*make_shards"):
        Manifest.load(tmp_path)


def test_unknown_split_and_field_list_those_there_are(root):
    with pytest.raises(UpsDataError, match=r"no split 'val': the dataset has \['train'\]"):
        QueryLoader(root, split="val", batch_size=1, sampling=QuerySampling())
    with pytest.raises(UpsDataError, match=r"no field 'v': the dataset has \['u'\]"):
        QueryLoader(root, split="train", batch_size=1, sampling=QuerySampling(), target_fields=["v"])
