"""Units of fields: from the source into the manifest and onto the screen."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests import warm
from tests.sources import files
from ups_data import ShardWriter, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.sources.base import units_of

ROOT = Path(__file__).parents[2]


def write(path: Path, **units: str) -> None:
    names = ("t", "u")
    variables = {n: (("time", "x"), files.values(3, 4), {"units": units[n]} if n in units else {}) for n in names}
    xr.Dataset(variables, coords={"x": np.arange(4.0)}).to_netcdf(path, engine="h5netcdf")


def test_units_are_stored_and_shown(tmp_path):
    write(tmp_path / "a.nc", t="K", u="m s[-1]")
    manifest = convert(tmp_path / "a.nc", tmp_path / "out", split={"train": 1.0})
    assert {f.name: f.units for f in manifest.fields} == {"t": "K", "u": "m s[-1]"}
    assert Manifest.load(tmp_path / "out") == manifest
    command = [ROOT / "tools/inspect_shards.py", tmp_path / "out"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "120"}
    shown = warm.run(command, check=True, env=env).stdout
    assert " K " in shown
    assert "m s[-1]" in shown


def test_a_field_without_units_has_no_such_key(tmp_path):
    """Datasets without units keep their bytes."""
    write(tmp_path / "a.nc", t="K")
    convert(tmp_path / "a.nc", tmp_path / "out", split={"train": 1.0})
    fields = json.loads((tmp_path / "out/dataset.json").read_text())["fields"]
    assert [("units" in field) for field in fields] == [True, False]


def test_units_that_differ_are_refused_and_missing_ones_are_not(tmp_path):
    for folder, second in (("same", {}), ("other", {"t": "degC"})):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.nc", t="K")
        write(tmp_path / folder / "b.nc", **second)
    assert convert(tmp_path / "same", tmp_path / "out", split={"train": 1.0}).field("t").units == "K"
    with pytest.raises(UpsDataError, match="'t' of trajectory 'b' is in degC, the first trajectory's is in K: give"):
        convert(tmp_path / "other", tmp_path / "out2", split={"train": 1.0})


def test_whoever_writes_shards_may_give_units(tmp_path):
    with ShardWriter(tmp_path / "out") as writer:
        writer.add({"u": files.values(2, 4, 1)}, units={"u": "m/s"})
    assert Manifest.load(tmp_path / "out").field("u").units == "m/s"


@pytest.mark.parametrize(
    ("attribute", "units"),
    [
        ("K", "K"),
        (b"Pa", "Pa"),
        (" m ", "m"),
        ("", None),
        (1.0, None),
        ("a\x1b[31m", None),
        ("x" * 101, None),
        (None, None),
    ],
)
def test_what_counts_as_units(attribute, units):
    assert units_of(attribute) == units
