"""MATLAB files and DoMINO's zarr groups, as other programs write them."""

import h5py
import numpy as np
import pytest
import zarr

from tests.sources import files


def write_mat73(path, **arrays):
    """As MATLAB writes version 7.3: a text before HDF5, every array with its axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            if isinstance(array, str):
                file[name] = np.frombuffer(array.encode("utf-16-le"), np.uint16)[:, None]
                file[name].attrs["MATLAB_class"] = np.bytes_("char")
                continue
            kind = {"f": "double" if array.dtype.itemsize == 8 else "single", "b": "logical"}[array.dtype.kind]
            file[name] = np.ascontiguousarray(array.T.astype("u1") if kind == "logical" else array.T)
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
        file.create_group("#refs#")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def write_mat5(path, **arrays):
    pytest.importorskip("scipy.io").savemat(path, arrays, do_compression=True)


def write_domino(path) -> dict[str, np.ndarray]:
    arrays = {
        "stl_coordinates": files.values(6, 3),
        "stl_centers": files.values(4, 3, seed=1),
        "stl_faces": np.arange(12, dtype=np.int32),
        "stl_areas": files.values(4, seed=2),
        "surface_mesh_centers": files.values(9, 3, seed=3),
        "surface_normals": files.values(9, 3, seed=4),
        "surface_areas": files.values(9, seed=5),
        "surface_fields": files.values(9, 4, seed=6),
        "volume_mesh_centers": files.values(12, 3, seed=7),
        "volume_fields": files.values(12, 5, seed=8),
        "global_params_values": np.array([[30.0], [1.2]], np.float32),
    }
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for name, array in arrays.items():
        group.create_array(name, data=array)
    return arrays
