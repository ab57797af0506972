"""A file that ends the library that reads it: one line that names the file, whatever the library does."""

import os
import random
import signal

import pytest

from tests.faults.hostile.mutations import changed
from tests.faults.hostile.sources import vtu
from ups_data import UpsDataError
from ups_data.conversion.convert import convert

pytest.importorskip("vtk", reason="needs vtk: pip install 'ups_data[mesh]'")


def test_a_signal_while_a_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    for name in "abc":
        vtu(tmp_path / "raw" / f"{name}.vtu")
    convert(tmp_path / "raw", tmp_path / "sound", split={"train": 1.0})
    from ups_data.sources.meshes import vtk_file

    claims = vtk_file.check_claims

    def crash(path, kind, options):
        if path.name == "b.vtu" and os.getpid() != this:
            os.kill(os.getpid(), signal.SIGSEGV)
        return claims(path, kind, options)

    this = os.getpid()
    monkeypatch.setattr(vtk_file, "check_claims", crash)
    with pytest.raises(UpsDataError, match=r"b\.vtu: ends the library that reads it \(SIGSEGV\)") as error:
        convert(tmp_path / "raw", tmp_path / "d")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


def test_errors_come_back(tmp_path):
    vtu(tmp_path / "a.vtu")
    (tmp_path / "a.vtu").write_bytes((tmp_path / "a.vtu").read_bytes()[:-400])
    with pytest.raises(UpsDataError, match=r"a\.vtu: cannot be read by vtk"):
        convert(tmp_path / "a.vtu", tmp_path / "d")


@pytest.mark.parametrize("number", [201176])
def test_a_file_that_did(tmp_path, number):
    """Found at random: vtk 9.7 ends at it."""
    vtu(tmp_path / "a.vtu")
    (tmp_path / "a.vtu").write_bytes(changed((tmp_path / "a.vtu").read_bytes(), random.Random(number)))
    with pytest.raises(UpsDataError, match=r"a\.vtu"):
        convert(tmp_path / "a.vtu", tmp_path / "d", split={"train": 1.0})
