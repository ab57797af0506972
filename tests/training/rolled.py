"""Rollouts by hand, and what files of predictions hold."""

from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import torch
import xarray

from ups_data import QueryLoader
from ups_data.schema import Manifest
from ups_data.store.shard import Shard
from ups_data.training import load_trained


def by_hand(run: Path, root: Path, name: str, *, start: int, stride: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """`(steps, N, C)` twice, of the first trajectory of the test split: what the model says from one frame on, going on
    from what it said before, and what the data hold."""
    model, _ = load_trained(run)
    loader = QueryLoader(root, split="test", batch_size=1, sampling=1.0, dt_stride=stride)
    chosen = {start + stride * step for step in range(steps)}
    state, found, truth = None, [], []
    for batch in loader:
        if int(batch.trajectory[0]) == 0 and int(batch.step[0]) in chosen:
            given = batch.inputs.fields if state is None else {**batch.inputs.fields, name: state}
            with torch.no_grad():
                state = model.predict(replace(batch, inputs=replace(batch.inputs, fields=given)))[name]
            found.append(state[0].numpy())
            truth.append(batch.target_queries.values[name][0].numpy())
    assert len(found) == steps
    return np.stack(found), np.stack(truth)


def from_shards(folder: Path, name: str) -> np.ndarray:
    """`(T, N, C)` of the first trajectory of the test split."""
    manifest = Manifest.load(folder)
    shard = Shard(folder, manifest, manifest.split("test").shards[0])
    return np.stack([shard.frame(name, 0, step) for step in range(shard.steps[0])])


def from_vtk(folder: Path, name: str) -> np.ndarray:
    """The same from VTK's files, by meshio."""
    files = sorted((folder / "test" / "000000").glob("frame-*.vtu"))
    values = np.stack([meshio.read(path).point_data[name] for path in files])
    return values.reshape(*values.shape[:2], -1)


def from_netcdf(folder: Path, name: str) -> np.ndarray:
    """The same from a NetCDF file, by xarray."""
    with xarray.open_dataset(folder / "test" / "000000.nc") as found:
        values = found[name].transpose("time", ...).values
        points = int(np.prod([found.sizes[axis] for axis in found[name].dims if axis in found.coords][1:]))
        return values.reshape(len(values), points, -1)
