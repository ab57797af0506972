"""A source may come from anywhere: nothing outside of it is read, no claim of it is believed, nothing of it waits."""

import os
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from tests import warm
from tests.sources import files
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.sources import SourceOptions, open_source

ROOT = Path(__file__).parents[2]
OWN = SourceOptions(allow_links=True)


def axes(file: h5py.File, x: int = 8, t: int = 4) -> None:
    file["x-coordinate"], file["t-coordinate"] = np.arange(float(x)), np.arange(float(t))


@pytest.fixture
def secret(tmp_path):
    """A file of somebody else's, outside of what is converted."""
    path = tmp_path / "elsewhere" / "secret.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["tensor"] = files.values(3, 4, 8)
        file["group/data"] = files.values(4, 8, 1)
    (path.parent / "raw.bin").write_bytes(files.values(3, 4, 8).tobytes())
    return path


def external_storage(file, secret):
    file.create_dataset("tensor", (3, 4, 8), "f4", external=[(str(secret.parent / "raw.bin"), 0, 384)])


def external_link(file, secret):
    file["tensor"] = h5py.ExternalLink(str(secret), "tensor")


def external_group(file, secret):
    file["0000"] = h5py.ExternalLink(str(secret), "group")


def soft_through_external(file, secret):
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
    file["tensor"] = h5py.SoftLink("/elsewhere/tensor")


def virtual(file, secret):
    layout = h5py.VirtualLayout((3, 4, 8), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "tensor", (3, 4, 8))
    file.create_virtual_dataset("tensor", layout)


def virtual_above(file, secret):
    layout = h5py.VirtualLayout((3, 4, 8), "f4")
    layout[:] = h5py.VirtualSource("../elsewhere/secret.h5", "tensor", (3, 4, 8))
    file.create_virtual_dataset("tensor", layout)


WAYS_OUT = [external_storage, external_link, external_group, soft_through_external, virtual, virtual_above]


@pytest.mark.parametrize("netcdf", [False, True])
@pytest.mark.parametrize("way", WAYS_OUT)
def test_hdf5_never_reads_other_files(tmp_path, secret, way, netcdf):
    (tmp_path / "given").mkdir()
    with h5py.File(tmp_path / "given/a", "w") as file:
        way(file, secret)
        axes(file)
        if netcdf:
            file.attrs["_NCProperties"] = "version=2"
    with pytest.raises(UpsDataError, match=r"--allow-links if the file is yours") as caught:
        open_source(tmp_path / "given/a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", [external_storage, external_link, virtual])
def test_links_of_ones_own_are_followed_if_they_are_allowed(tmp_path, secret, way):
    with h5py.File(tmp_path / "a", "w") as file:
        way(file, secret)
        axes(file)
    [t, *_] = open_source(tmp_path / "a", options=OWN)
    np.testing.assert_array_equal(t.fields["tensor"][:][..., 0], files.values(3, 4, 8)[0])


def test_the_option_reaches_workers_and_the_command_line(tmp_path, secret):
    with h5py.File(tmp_path / "a", "w") as file:
        external_link(file, secret)
        axes(file)
    manifest = convert(tmp_path / "a", tmp_path / "o", split={"train": 1.0}, shard_bytes=1, workers=2, reading=OWN)
    assert manifest.split("train").num_trajectories == 3
    command = ["-m", "ups_data.cli", "convert", tmp_path / "a", "--out", tmp_path / "p"]
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    refused = warm.run(command, env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert warm.run([*command, "--allow-links"], env=env).returncode == 0


def test_virtual_datasets_over_files_beside_are_read(tmp_path):
    whole = files.values(6, 4, 8)
    layout = h5py.VirtualLayout((6, 4, 8), "f4")
    for part in range(2):
        with h5py.File(tmp_path / f"part{part}.h5", "w") as file:
            file["tensor"] = whole[3 * part : 3 * part + 3]
        layout[3 * part : 3 * part + 3] = h5py.VirtualSource(f"part{part}.h5", "tensor", (3, 4, 8))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("tensor", layout)
        axes(file)
    read = np.stack([t.fields["tensor"][:][..., 0] for t in open_source(tmp_path / "all.h5")])
    np.testing.assert_array_equal(read, whole)


@pytest.mark.parametrize("missing", ["file", "dataset", "rows", "mapping", "chunks"])
def test_a_virtual_dataset_with_a_gap_is_refused(tmp_path, missing):
    """HDF5 would fill it with zeros."""
    with h5py.File(tmp_path / "part.h5", "w") as file:
        if missing == "chunks":
            file.create_dataset("tensor", (3, 4, 8), "f4", chunks=(1, 4, 8))[:1] = 5
        else:
            file["other" if missing == "dataset" else "tensor"] = files.values(2 if missing == "rows" else 3, 4, 8)
    layout = h5py.VirtualLayout((3, 4, 8), "f4")
    source = h5py.VirtualSource("gone.h5" if missing == "file" else "part.h5", "tensor", (3, 4, 8))
    part = slice(0, 2 if missing == "mapping" else 3)
    layout[part] = source[part]
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("tensor", layout)
        axes(file)
    for options in (SourceOptions(), OWN):
        with pytest.raises(UpsDataError, match="missing|never written"):
            for t in open_source(tmp_path / "all.h5", options=options):
                t.fields["tensor"][:]


def test_soft_links_within_the_file_are_followed_and_broken_ones_named(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        file["kept/tensor"] = files.values(3, 4, 8)
        file["tensor"] = h5py.SoftLink("/kept/tensor")
        axes(file)
    assert len(open_source(tmp_path / "a")) == 3
    with h5py.File(tmp_path / "a", "a") as file:
        file["broken"] = h5py.SoftLink("/nothing")
    with pytest.raises(UpsDataError, match="'broken' is a link to nothing"):
        open_source(tmp_path / "a")


@pytest.mark.parametrize("part", ["u/0.0", "u/c", "u"])
def test_a_zarr_store_never_reads_what_is_linked_out_of_it(tmp_path, part):
    data = xr.Dataset({"u": (("time", "x"), files.values(3, 4))}, coords={"x": np.arange(4.0)})
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3 if part == "u/c" else 2)
    assert len(open_source(tmp_path / "a.zarr")) == 1
    (tmp_path / "elsewhere").mkdir()
    inside, outside = tmp_path / "a.zarr" / part, tmp_path / "elsewhere/secret"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(UpsDataError, match=r"is a link to .*secret, outside of the source.*--allow-links"):
        open_source(tmp_path / "a.zarr")
    assert len(open_source(tmp_path / "a.zarr", options=OWN)) == 1


@pytest.mark.parametrize("folder", [False, True])
def test_a_folder_never_reads_what_is_linked_out_of_it(tmp_path, folder):
    (tmp_path / "given").mkdir()
    (tmp_path / "elsewhere").mkdir()
    files.write_npy(tmp_path / "elsewhere/secret.npy", files.values(2, 3, 4, 1))
    (tmp_path / "given/a").symlink_to(tmp_path / "elsewhere" if folder else tmp_path / "elsewhere/secret.npy")
    with pytest.raises(UpsDataError, match="outside of the source"):
        open_source(tmp_path / "given")
    assert len(open_source(tmp_path / "given", options=OWN)) == 2


def test_links_within_a_folder_and_the_link_that_is_given_are_followed(tmp_path):
    (tmp_path / "given/kept").mkdir(parents=True)
    files.write_npy(tmp_path / "given/kept/a.npy", files.values(2, 3, 4, 1))
    (tmp_path / "given/more").mkdir()
    (tmp_path / "given/more/b.npy").symlink_to("../kept/a.npy")
    (tmp_path / "link").symlink_to(tmp_path / "given")
    assert len(open_source(tmp_path / "link")) == 4
    (tmp_path / "given/more/c.npy").symlink_to("nowhere")
    with pytest.raises(UpsDataError, match="nowhere, which is not there"):
        open_source(tmp_path / "link")


@pytest.mark.parametrize("place", ["source", "in a folder", "notes", "in a store"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, place):
    names = {"source": "f", "in a folder": "d/f.npy", "notes": "d/metadata.json", "in a store": "d/u/.zarray"}
    pipe = tmp_path / names[place]
    pipe.parent.mkdir(parents=True, exist_ok=True)
    if place == "in a store":
        (tmp_path / "d/.zgroup").write_text('{"zarr_format": 2}')
    os.mkfifo(pipe)
    script = "import sys; from ups_data.conversion.convert import convert; convert(sys.argv[1], sys.argv[2])"
    given = pipe if place == "source" else tmp_path / "d"
    done = warm.run(["-c", script, given, tmp_path / "o"], timeout=60)
    assert "is no regular file but a pipe" in done.stderr.splitlines()[-1]


def test_a_device_is_no_source():
    with pytest.raises(UpsDataError, match="/dev/zero: is no regular file but a device"):
        open_source("/dev/zero")


def cut(path: Path, share: float = 0.5) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def ply(path):
    files.write_ply(path, count=4096)


BIG = files.values(4, 8, 64, 64, 1)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("npy", lambda path: files.write_npy(path, BIG)),
        ("fortran", lambda path: files.write_npy(path, np.asfortranarray(BIG))),
        ("npz", lambda path: files.write_npz(path, u=BIG)),
        ("compressed", lambda path: files.write_npz(path, compressed=True, u=BIG)),
        ("pt", lambda path: torch.save({"x": torch.tensor(BIG[:, 0, ..., 0]), "y": torch.tensor(BIG[..., 0])}, path)),
    ],
)
def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path, name, write):
    """Memory maps of it would end the process: hence a process of its own."""
    write(tmp_path / "f")
    script = f"""
import os, sys
from ups_data import UpsDataError
from ups_data.sources import open_source
source = open_source({str(tmp_path / "f")!r})
held = [source[n] for n in range(4)]
next(iter(held[0].fields.values()))[:1]
os.truncate({str(tmp_path / "f")!r}, 5000)
try:
    for t in held:
        for field in t.fields.values():
            field[:]
except UpsDataError as error:
    sys.exit(str(error))
"""
    done = warm.run(["-c", script])
    assert done.returncode == 1, done.stderr
    assert str(tmp_path / "f") in done.stderr
    assert done.stderr.count("\n") == 1


def members(path: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()


@pytest.mark.parametrize("kind", ["npz", "compressed", "cloud", "pt", "cars"])
def test_one_flipped_byte_is_noticed(tmp_path, kind):
    write = {
        "npz": lambda path: files.write_npz(path, u=BIG),
        "compressed": lambda path: files.write_npz(path, compressed=True, u=np.round(BIG)),
        "cloud": lambda path: files.write_npz(path, u=files.values(5000), pos=files.values(5000, 2)),
        "pt": lambda path: files.write_darcy_pt(path, grid=(40, 40)),
        "cars": lambda path: files.write_cars_pt(path, points=(700, 900)),
    }[kind]
    path = tmp_path / "f"
    write(path)
    largest = max(members(path), key=lambda info: info.compress_size)
    at = largest.header_offset + 200 + largest.compress_size // 2
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    with pytest.raises(UpsDataError, match=r"damaged: save or copy it again \(.*CRC|damaged.*\(Error -3"):
        for t in open_source(path):
            for field in t.fields.values():
                field[:]


def bomb_npz(path):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("u.npy", "w") as out,
    ):
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (10, 1, 2**23, 1)})
        for _ in range(10 * 32):
            out.write(bytes(2**20))


def bomb_hdf5(path, shape=(10**9, 4, 8)):
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", shape, "f4")
        for name, n in zip(("x", "t"), shape[:0:-1], strict=True):
            file.create_dataset(f"{name}-coordinate", (n,), "f4")


def claim_npy(path):
    with open(path, "wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (2**62, 3, 4, 1)})


def claim_npz(path):
    with zipfile.ZipFile(path, "w") as archive, archive.open("u.npy", "w") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (2**80, 3, 4, 1)})


def expanded_tensor(path):
    torch.save({"x": torch.zeros(1).expand(2**15, 2**15), "y": torch.zeros(1).expand(2**15, 2**15)}, path)


@pytest.mark.parametrize(
    "bomb", [bomb_npz, bomb_hdf5, lambda p: bomb_hdf5(p, (1, 4, 10**9)), claim_npy, claim_npz, expanded_tensor]
)
def test_claims_are_compared_with_the_bytes_that_are_there(tmp_path, bomb):
    bomb(tmp_path / "f")
    with pytest.raises(UpsDataError, match="claims|truncated or damaged") as caught:
        open_source(tmp_path / "f")
    assert "\n" not in str(caught.value)


def test_limits_can_be_raised(tmp_path):
    bomb_npz(tmp_path / "f")
    with pytest.raises(UpsDataError, match="336 MB, more than 200 times .* raise --max-expansion"):
        open_source(tmp_path / "f")
    assert len(open_source(tmp_path / "f", options=SourceOptions(expansion=2000))) == 10


def test_too_many_trajectories(tmp_path):
    with h5py.File(tmp_path / "f", "w") as file:
        file.create_dataset("tensor", (10**7 + 1, 1, 1), "u1")
        axes(file, 1, 1)
    with pytest.raises(UpsDataError, match="claims 10,000,001 trajectories, at most 10,000,000"):
        open_source(tmp_path / "f")


@pytest.mark.parametrize("never", ["chunks", "all", "contiguous", "time"])
def test_what_was_never_written_is_no_number(tmp_path, never):
    with h5py.File(tmp_path / "f", "w") as file:
        file["x-coordinate"] = np.arange(8.0)
        if never == "time":
            file.create_dataset("t-coordinate", (4,), "f8")
            file["tensor"] = files.values(3, 4, 8)
        else:
            file["t-coordinate"] = np.arange(4.0)
            tensor = file.create_dataset("tensor", (3, 4, 8), "f4", chunks=None if never == "contiguous" else (1, 2, 8))
            if never == "chunks":
                tensor[:2] = 5
    with pytest.raises(UpsDataError, match="never written"):
        for t in open_source(tmp_path / "f"):
            t.fields["tensor"][:]


def test_what_was_written_is_kept_where_the_rest_is_left_out(tmp_path):
    with h5py.File(tmp_path / "f", "w") as file:
        file.create_dataset("tensor", (4, 4, 8), "f4", chunks=(1, 4, 8))[1:3] = 5
        axes(file)
    manifest = convert(tmp_path / "f", tmp_path / "o", split={"train": 1.0}, on_error="skip")
    assert [entry.key for entry in manifest.left_out] == ["0000", "0003"]
    assert manifest.split("train").statistics["tensor"].min == [5.0]


def test_nan_may_stand_for_what_was_not_written(tmp_path):
    with h5py.File(tmp_path / "f", "w") as file:
        file.create_dataset("tensor", (2, 4, 8), "f4", chunks=(1, 4, 8), fillvalue=np.nan)[:1] = 5
        axes(file)
    assert np.isnan(open_source(tmp_path / "f")[1].fields["tensor"][:]).all()


@pytest.mark.parametrize(("code", "named"), [(32015, r"zstd \(32015\)"), (32001, r"blosc \(32001\)"), (40000, "40000")])
def test_a_filter_that_is_not_there_is_named(tmp_path, monkeypatch, code, named):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with h5py.File(tmp_path / "f", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, 4, 8))
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (3,))
        h5py.h5d.create(file.id, b"tensor", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4, 8)), plist)
        axes(file)
    with pytest.raises(UpsDataError, match=rf"HDF5 filter .*{named}.*hdf5plugin") as caught:
        list(open_source(tmp_path / "f"))
    assert "damaged" not in str(caught.value)


def test_a_locked_file_is_not_called_damaged(tmp_path):
    files.write_tensor(tmp_path / "f")
    with h5py.File(tmp_path / "f", "a", locking=True):
        script = f"from ups_data.sources import open_source; open_source({str(tmp_path / 'f')!r})"
        done = warm.run(["-c", script])
    assert "is locked, a program has it open for writing" in done.stderr.splitlines()[-1]


ODD = {
    "text for coordinates": lambda f: f.__setitem__("x-coordinate", np.array([b"a"] * 8)),
    "a group for times": lambda f: f.create_group("t-coordinate"),
    "no values": lambda f: f.__setitem__("tensor", h5py.Empty("f4")),
    "records": lambda f: f.__setitem__("tensor", np.zeros((3, 4, 8), [("a", "f4")])),
    "complex": lambda f: f.__setitem__("tensor", np.zeros((3, 4, 8), "c8")),
    "references": lambda f: f.create_dataset("tensor", (3, 4, 8), h5py.ref_dtype),
    "a scalar": lambda f: f.__setitem__("tensor", 5.0),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_hdf5_is_one_line(tmp_path, odd):
    with h5py.File(tmp_path / "f", "w") as file:
        ODD[odd](file)
        for name, value in (("tensor", files.values(3, 4, 8)), ("x-coordinate", range(8)), ("t-coordinate", range(4))):
            if name not in file:
                file[name] = np.asarray(value)
    with pytest.raises(UpsDataError) as caught:
        convert(tmp_path / "f", tmp_path / "o")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\nb", "x/../../y", "\udcff", "a" * 101])
def test_odd_names_are_one_line(tmp_path, name):
    member = name.encode("utf8", "surrogateescape").decode("cp437") + ".npy"
    with zipfile.ZipFile(tmp_path / "f", "w") as archive, archive.open(member, "w") as out:
        np.save(out, files.values(3, 4, 8, 1))
    with pytest.raises(UpsDataError, match="has the name") as caught:
        convert(tmp_path / "f", tmp_path / "o")
    assert "\n" not in str(caught.value)


def zip_method(path):
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 10 : directory + 12] = struct.pack("<H", 99)
    path.write_bytes(data)


def encrypted(path):
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1
    path.write_bytes(data)


def twice(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.write(path, members(path)[0].filename)


@pytest.mark.parametrize(
    ("change", "message"),
    [(zip_method, "by the method 99, which is not known"), (encrypted, "is encrypted"), (twice, "holds .* twice")],
)
def test_odd_archives_are_one_line(tmp_path, change, message):
    files.write_npz(tmp_path / "f", u=files.values(3, 4, 8, 1))
    change(tmp_path / "f")
    with pytest.raises(UpsDataError, match=message):
        open_source(tmp_path / "f")


@pytest.mark.parametrize(
    "pickled", [b"", b"\x80\x02.", b"\x80\x02]" + b"]" * 10**5, b"\x80\x04\x8e" + b"\xff" * 8, b"garbage"]
)
def test_crafted_pickles_are_one_line(tmp_path, pickled):
    with zipfile.ZipFile(tmp_path / "f", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    with pytest.raises(UpsDataError) as caught:
        open_source(tmp_path / "f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["state", "slots"])
def test_a_pickle_sets_no_attribute_of_what_it_names(tmp_path, setting):
    """BUILD on a name: nothing outside of the file changes by reading it."""
    state = b"}X\x01\x00\x00\x00aK\x01s" if setting == "state" else b"N}X\x01\x00\x00\x00aK\x01s\x86"
    pickled = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + state + b"b."
    with zipfile.ZipFile(tmp_path / "f", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    with pytest.raises(UpsDataError):
        open_source(tmp_path / "f")


def test_deep_metadata_of_zarr_is_one_line(tmp_path):
    (tmp_path / "a.zarr/u").mkdir(parents=True)
    (tmp_path / "a.zarr/.zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / "a.zarr/u/.zarray").write_text("[" * 100_000)
    with pytest.raises(UpsDataError) as caught:
        open_source(tmp_path / "a.zarr")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"time": [0.0, np.nan, 2.0]}, "times that are NaN or Inf"),
        ({"time": [0.0, 2.0, 1.0]}, r"times .* do not increase, 1 follows 2 \(frame 2\)"),
        ({"time": [0.0, 1.0, 1.0]}, "do not increase, 1 follows 1"),
        ({"x": [0.0, np.inf, 2.0, 3.0]}, "axis 'x' .*NaN or Inf"),
        ({"Re": np.nan}, "parameter Re = nan"),
    ],
)
def test_times_axes_and_parameters_are_finite(tmp_path, changed, message):
    given = {"time": np.arange(3.0), "x": np.arange(4.0), "Re": 5.0} | {k: np.asarray(v) for k, v in changed.items()}
    files.write_npz(tmp_path / "f", u=files.values(2, 3, 4, 1), **given)
    with pytest.raises(UpsDataError, match=message):
        convert(tmp_path / "f", tmp_path / "o")


def test_gapped_and_shared_tensors_are_read(tmp_path):
    """A slice of a tensor is saved with the whole storage; several tensors may share one."""
    whole = torch.arange(2 * 12 * 10, dtype=torch.float32).reshape(2, 12, 10)
    torch.save({"x": whole[:, ::3, :7], "y": whole[:, ::3, 2:9]}, tmp_path / "f")
    [_, t] = open_source(tmp_path / "f")
    np.testing.assert_array_equal(t.fields["x"][0, ..., 0], whole[1, ::3, :7])
    np.testing.assert_array_equal(t.fields["y"][0, 1:3, :, 0], whole[1, 3:9:3, 2:9])


def test_checksums_are_zlibs(tmp_path):
    """What torch.save stores beside its members is what is compared."""
    files.write_darcy_pt(tmp_path / "f")
    with zipfile.ZipFile(tmp_path / "f") as archive:
        assert all(zlib.crc32(archive.read(info)) == info.CRC for info in archive.infolist())


def test_a_store_of_zarr_without_data_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    with pytest.raises(UpsDataError, match="lie on no grid and no points"):
        open_source(tmp_path / "a.zarr")
