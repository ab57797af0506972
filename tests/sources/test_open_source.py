from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import FORMATS, open_source

WRITERS = {
    "tensor": (files.write_tensor, "pdebench"),
    "compressible": (files.write_compressible, "pdebench"),
    "darcy": (files.write_darcy, "pdebench"),
    "groups": (files.write_groups, "pdebench"),
    "incompressible": (files.write_incompressible, "pdebench"),
    "npy": (lambda path: files.write_npy(path, files.values(2, 3, 4, 1)), "npy"),
    "npz": (lambda path: files.write_npz(path, u=files.values(2, 3, 4, 1)), "npz"),
    "darcy_pt": (files.write_darcy_pt, "neuraloperator"),
    "burgers_pt": (files.write_burgers_pt, "neuraloperator"),
    "cars_pt": (files.write_cars_pt, "neuraloperator"),
    "cloud": (lambda path: files.write_npz(path, u=files.values(5), pos=files.values(5, 2)), "npz"),
    "ply": (files.write_ply, "ply"),
    "obj": (lambda path: path.write_text("v 0 0 0\nv 1 0 0\nf 1 2\n"), "obj"),
    "particles": (files.write_lagrangebench, "lagrangebench"),
}


@pytest.mark.parametrize("ending", ["", ".hdf5", ".npz", ".pt", ".txt"])
@pytest.mark.parametrize("name", WRITERS)
def test_the_content_decides_whatever_the_extension(tmp_path, name, ending):
    write, format = WRITERS[name]
    path = tmp_path / f"file{ending}"
    write(path)
    source = open_source(path)
    assert source.format == format
    assert isinstance(source, FORMATS[format])
    assert len(list(source)) == len(source) == len(source.splits())


def test_a_user_block_before_hdf5(tmp_path):
    with h5py.File(tmp_path / "f", "w", userblock_size=1024) as file:
        file["tensor"] = files.values(2, 3, 4)
        file["x-coordinate"], file["t-coordinate"] = np.arange(4.0), np.arange(3.0)
    assert open_source(tmp_path / "f").format == "pdebench"


@pytest.mark.parametrize(
    ("name", "format"),
    [
        *(("npy", "pdebench"), ("tensor", "npy"), ("npy", "npz"), ("npz", "npy")),
        *(("npz", "neuraloperator"), ("darcy_pt", "npz"), ("tensor", "neuraloperator")),
        *(
            ("npy", "cases"),
            ("npz", "lagrangebench"),
            ("particles", "npz"),
            ("npz", "vtk"),
            ("npz", "ply"),
            ("ply", "vtk"),
            ("npz", "obj"),
        ),
    ],
)
def test_a_format_that_is_asked_for_overrides_what_is_found(tmp_path, name, format):
    WRITERS[name][0](tmp_path / "f")
    with pytest.raises(UpsDataError) as caught:
        open_source(tmp_path / "f", format)
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_right_format_may_be_asked_for(tmp_path):
    WRITERS["groups"][0](tmp_path / "f")
    assert len(open_source(tmp_path / "f", "pdebench")) == 3


def _hdf5(path):
    with h5py.File(path, "w") as file:
        file["temperature"] = files.values(3, 4)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_hdf5, "an HDF5 file holding temperature, which no reader knows: .*pdebench.*neuraloperator"),
        (lambda path: path.write_text("hello"), "bytes of no known kind, which no reader knows"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: None, "no such file"),
        (lambda path: files.write_tensor(path, count=0), "no trajectory"),
        (lambda path: path.mkdir(), "a folder that holds no data: add files"),
    ],
)
def test_what_is_unknown_is_named_in_one_line(tmp_path, write, message):
    write(tmp_path / "f")
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(
        UpsDataError,
        match=r"'pdebunch'.*lagrangebench, pdebench, npy, npz, neuraloperator, cases, vtk, ply, obj, xarray",
    ):
        open_source(tmp_path, "pdebunch")


def test_only_files_of_torch_import_torch():
    """Readers know nothing of torch, shards or zarr."""
    source = Path(__file__).parents[2] / "ups_data" / "sources"
    for module in source.rglob("*.py"):
        lines = module.read_text().splitlines()
        imports = [line.strip() for line in lines if line.strip().startswith(("import ", "from "))]
        others = ["from ups_data.store", "from ups_data.writing"]
        # These guard the codecs by which xarray decodes groups of zarr.
        if module.parts[-2:] not in (("netcdf", "blosc.py"), ("netcdf", "bombs.py")):
            others += ["import zarr", "from zarr"]
        assert not [line for line in imports if line.startswith(tuple(others))], module
        at_top = [line for line in lines if line.startswith(("import torch", "from torch"))]
        assert not at_top, module
        if module.parent.name != "torch":
            assert not [line for line in imports if line.startswith(("import torch", "from torch"))], module
