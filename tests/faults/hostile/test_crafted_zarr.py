"""Chunks of blosc in a zarr group from anywhere: an error, never other memory, never a signal."""

from pathlib import Path

import numpy as np
import pytest

from tests.faults.crafted import KINDS
from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.tryer import Tryer

xarray = pytest.importorskip("xarray", reason="xarray is not installed: pip install 'ups_data[netcdf]'")


def write(path: Path, version: int) -> Path:
    """Smooth enough to be compressed; returns the file of a chunk."""
    u = np.cumsum(np.random.default_rng(0).standard_normal((2, 3, 64, 64)), axis=2).round(1).astype(np.float32)
    made = xarray.Dataset({"u": (("sample", "time", "y", "x"), u)}, {"time": np.arange(3.0)})
    if version == 2:
        from numcodecs import Blosc

        made.to_zarr(path, zarr_format=2, consolidated=False, encoding={"u": {"compressors": (Blosc("lz4"),)}})
        return path / "u" / "0.0.0.0"
    from zarr.codecs import BloscCodec

    made.to_zarr(path, zarr_format=3, consolidated=False, encoding={"u": {"compressors": [BloscCodec(cname="lz4")]}})
    return path / "u/c/0/0/0/0"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("length", ["short", pytest.param("long", marks=pytest.mark.faults)])
def test_headers_of_blosc(tryer: Tryer, around: Around, version: int, length: str) -> None:
    chunk = write(around.given / "intact", version)
    intact = tryer("convert", around.given / "intact", around.out / "intact")
    assert intact["status"] == 0, intact
    whole = chunk.read_bytes()
    crafts = {**KINDS, "cut": lambda body: body[: len(body) * 2 // 3], "empty": lambda body: b""}
    for number, (kind, craft) in enumerate(list(crafts.items())[:: 4 if length == "short" else 1]):
        chunk.write_bytes(craft(whole))
        around.watch()
        answer = tryer("convert", around.given / "intact", around.out / str(number))
        assert not [*wrong(answer), *around.changes()], kind
