"""YAML from anywhere: what is far more than its text says is refused before it is made, wherever YAML is read."""

import h5py
import pytest
import yaml

from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.schema.texts.yaml_text import parse_yaml
from ups_data.sources import open_source
from ups_data.sources.well.statistics import compare_published

NESTED = "a0: &a0 [0.5, 0.5]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)  # 2 · 10¹¹ numbers
BOMBS = {
    "aliases of aliases": NESTED + "train: [*a11]\nmean: {u: *a11}\nsim: {x: *a11}\n",
    "within itself": "train: &a [*a]\nmean: {u: &b [*b]}\nsim: &c {x: *c}\n",
    "deep": "train: " + "[" * 5000 + "]" * 5000,
    "many": "train: [" + "a," * 400_000 + "]",
}


def test_what_somebody_writes_is_read():
    assert parse_yaml("a: &x [1, 2]\nb: [*x, *x]\n", 20) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}
    assert parse_yaml("", 20) is None
    with pytest.raises(yaml.YAMLError):
        parse_yaml("a: [", 20)
    with pytest.raises(ValueError, match="more than 8 values"):
        parse_yaml("a: &x [1, 2]\nb: [*x, *x]\n", 8)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path, name):
    (tmp_path / "splits.yaml").write_text(BOMBS[name])
    with pytest.raises(UpsDataError, match=r"splits.yaml: cannot be read as .yaml") as error:
        ByFile(tmp_path / "splits.yaml", tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "stats.yaml").write_text(BOMBS[name])
    [line] = compare_published(tmp_path, {"u": {"mean": [0.5], "rms": [1.0]}})
    assert "cannot be compared" in line
    files.write_groups(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["0000"].attrs["config"]
        file["0000"].attrs["config"] = BOMBS[name][:60_000]
    with pytest.raises(UpsDataError, match="the attribute config is not YAML"):
        open_source(tmp_path / "a.h5")[0]
