"""What the directory of a zip archive claims of its members is compared with the file before it is believed."""

import struct
import tracemalloc

import numpy as np
import pytest

from tests.sources import files
from ups_data import UpsDataError
from ups_data.sources import open_source

CLAIMED = 2**31 - 7


def _claim(path, member: bytes, both: bool) -> None:
    """Have the directory say that a member is that long as it is stored, and as it comes out if `both`."""
    data = bytearray(path.read_bytes())
    at = data.rindex(member)
    assert data[at - 46 : at - 42] == b"PK\x01\x02"
    struct.pack_into("<I", data, at - 26, CLAIMED)
    if both:
        struct.pack_into("<I", data, at - 22, CLAIMED)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("member", [b"byteorder", b"data.pkl", b"version", b"x.npy"])
@pytest.mark.parametrize("both", [True, False])
def test_a_member_longer_than_the_file_takes_no_memory(tmp_path, member, both):
    if member == b"x.npy":
        path = tmp_path / "a.npz"
        files.write_npz(path, x=np.zeros((3, 4, 5, 5), np.float32), y=np.zeros((3, 4, 5, 5), np.float32))
    else:
        path = tmp_path / "a.pt"
        files.write_darcy_pt(path)
        names = [name for name in (b"darcy/", b"a/", b"archive/") if name + member in path.read_bytes()]
        member = (names[0] if names else b"") + member
    _claim(path, member, both)
    tracemalloc.start()
    try:
        with pytest.raises(UpsDataError, match="behind the file|claims"):
            open_source(path)[0]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
