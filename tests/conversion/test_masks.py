"""Masks through a conversion: from NaN, from what a file declares, and trajectories that they leave nothing of."""

import numpy as np
import pytest

from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.store.masks.counted import counted_points
from ups_data.store.shard import Shard
from ups_data.store.verify import verify_dataset

ALL = {"split": {"train": 1.0}}


def counts(root, manifest, trajectory=0):
    shard = Shard(root, manifest, manifest.split("train").shards[0])
    return counted_points(shard, None, trajectory)


def runs() -> np.ndarray:
    u = np.random.default_rng(0).random((3, 4, 6, 8, 1)).astype(np.float32)
    u[:, :, 2:4, 3:5] = np.nan
    return u


def test_nan_of_a_file_of_arrays(tmp_path):
    np.save(tmp_path / "u.npy", runs())
    manifest = convert(tmp_path / "u.npy", tmp_path / "d", mask_nan=True, **ALL)
    assert verify_dataset(tmp_path / "d") == []
    for number in range(3):
        assert np.array_equal(counts(tmp_path / "d", manifest, number), ~np.isnan(runs()[number, 0, ..., 0]).ravel())
    with pytest.raises(UpsDataError, match="already holds a dataset"):  # with other options
        convert(tmp_path / "u.npy", tmp_path / "d", **ALL)


def test_a_trajectory_of_which_nothing_counts_is_refused_or_left_out(tmp_path):
    u = runs()
    u[1, 2] = np.nan
    np.save(tmp_path / "u.npy", u)
    with pytest.raises(UpsDataError, match=r"u\.npy.*frame 2 of .* has no point that counts") as error:
        convert(tmp_path / "u.npy", tmp_path / "d", mask_nan=True, **ALL)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()
    manifest = convert(tmp_path / "u.npy", tmp_path / "d", mask_nan=True, on_error="skip", **ALL)
    assert manifest.split("train").num_trajectories == 2
    assert [out.key for out in manifest.left_out] == ["0001"]


def test_what_a_file_declares_as_missing_does_not_count(tmp_path):
    """A number that stands for missing values; NaN alone is still refused."""
    xr = pytest.importorskip("xarray")
    u = runs()[0, ..., 0]
    dataset = xr.Dataset({"u": (("time", "y", "x"), u)}, {"y": np.arange(6.0), "x": np.arange(8.0)})
    dataset.to_netcdf(tmp_path / "a.nc", engine="scipy", encoding={"u": {"_FillValue": -999.0}})
    manifest = convert(tmp_path / "a.nc", tmp_path / "d", **ALL)
    assert manifest.mask().fill == 0.0
    assert np.array_equal(counts(tmp_path / "d", manifest), ~np.isnan(u[0]).ravel())
    dataset.to_netcdf(tmp_path / "b.nc", engine="scipy", encoding={"u": {"_FillValue": np.nan}})
    with pytest.raises(UpsDataError, match="--mask-nan"):
        convert(tmp_path / "b.nc", tmp_path / "e", **ALL)
