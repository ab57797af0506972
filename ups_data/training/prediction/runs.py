"""The predicted trajectories while they are made: arrays on the disk, filled chunk by chunk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.exporting.trajectories import axes_of
from ups_data.schema import Manifest
from ups_data.store.masks.counted import counted_points
from ups_data.store.shard import Shard
from ups_data.training.forecast.forecast import Forecast
from ups_data.training.forecast.parts import SetName, sets_of, with_sets
from ups_data.training.forecast.scales import Scales
from ups_data.training.prediction.places import Places, check_inside
from ups_data.training.prediction.times import Times
from ups_data.trajectory import PointSet, Trajectory


class Runs:
    """The trajectories of a split: their times, and where their points are.

    Args:
        units: predicted field → its units.
        sets: set of points → predicted field → channels.
        places: where predictions are asked for; None: at the data's own points.
        scales: how a model takes the coordinates of given points that form no grid.
    """

    def __init__(
        self,
        root: str | Path,
        manifest: Manifest,
        split: str,
        units: Mapping[str, str | None],
        sets: Mapping[SetName, Mapping[str, int]],
        places: Places | None,
        scales: Scales | None = None,
    ) -> None:
        self.root, self.manifest, self.split, self.sets, self.places = str(root), manifest, split, sets, places
        self.scales = scales
        self.units = {name: unit for name, unit in units.items() if unit is not None}
        specs = manifest.split(split).shards
        self._shards = [Shard(self.root, manifest, spec) for spec in specs]
        self._where = [(shard, k) for shard in self._shards for k in range(len(shard.steps))]

    def __len__(self) -> int:
        return len(self._where)

    def time(self, number: int) -> np.ndarray:
        """`(T,)` of a trajectory's frames."""
        shard, local = self._where[number]
        first = shard.first_row(local)
        return shard.time[first : first + shard.steps[local]]

    def params(self, number: int) -> dict[str, float]:
        """Of a trajectory."""
        shard, local = self._where[number]
        return {name: float(value) for name, value in zip(self.manifest.params, shard.params[local], strict=True)}

    def positions(self, number: int, set_name: SetName, frame: int) -> np.ndarray:
        """`(N, d)` of a set of points, as stored; of the last frame, if there is no such one."""
        shard, local = self._where[number]
        return shard.positions(set_name, local, min(frame, shard.steps[local] - 1))

    def counted(self, number: int, set_name: SetName) -> np.ndarray | None:
        """`(N,)`, which points of a set count; None: all do, or they change in time, and it is not known in which
        predicted frames."""
        shard, local = self._where[number]
        return None if self.manifest.mask_moves(set_name) else counted_points(shard, set_name, local)

    def begin(self, number: int, times: Times, scratch: Path) -> "Predicted":
        """A trajectory that is to be predicted; what lies in `scratch` of the last one is removed."""
        for path in scratch.iterdir():
            path.unlink()
        return Predicted(self, number, times, scratch)


class Predicted:
    """One trajectory. `predict` takes its samples, in any order; then it is `finished`."""

    def __init__(self, runs: Runs, number: int, times: Times, scratch: Path) -> None:
        self._runs, self.number, self._times, self._scratch = runs, number, times, scratch
        self._slots = {start: slot for slot, start in enumerate(times.starts)}
        self._arrays: dict[str, np.ndarray] = {}
        self._coords: dict[SetName, np.ndarray] = {}

    def predict(self, batch: QueryBatch, forecast: Forecast) -> None:
        """Predict from a sample, if it is one of the starts."""
        slot = self._slots.get(int(batch.step[0]))
        if slot is None:
            return
        steps = self._times.dt.shape[1]
        several = steps > 1 or forecast.horizon > 1
        dt = torch.from_numpy(self._times.dt[slot : slot + 1]).to(batch.time)
        queries = {name: self._queries(name, part, steps if several else 0) for name, part in sets_of(batch).items()}
        asked = with_sets(batch, queries, {}, dt=dt if several else dt[:, 0])
        for piece in forecast(asked):
            queried = queries[piece.set_name]
            for name, values in piece.values.items():
                array = self._array(name, queried, values)
                points = slice(piece.start, piece.start + values.shape[2])
                array[slot + piece.step : slot + piece.step + values.shape[1], points] = values[0].cpu().numpy()

    def finished(self) -> Trajectory:
        """The trajectory; its arrays lie in the scratch folder."""
        runs = self._runs
        common: dict[str, Any] = {
            "key": f"{self.number:06d}",
            "source": runs.root,
            "time": self._times.time,
            "params": runs.params(self.number),
            "split": runs.split,
            "time_units": runs.manifest.time_units,
        }
        grid = runs.manifest.grid is not None
        axes = axes_of(runs.manifest) if grid and runs.places is None else None
        axes = runs.places.axes if runs.places is not None else axes
        if axes is not None:
            shape = [len(axis.coordinates) for axis in axes]
            counted = runs.counted(self.number, None) if grid and runs.places is None else None
            if counted is not None:
                for array in self._arrays.values():
                    array[:, ~counted] = np.nan
            fields = {n: a.reshape(len(a), *shape, a.shape[-1]) for n, a in self._arrays.items()}
            mask = None if counted is None else counted.reshape(shape)
            return Trajectory(fields=fields, axes=axes, units=runs.units, mask=mask, **common)
        if len(runs.sets) == 1 and None in runs.sets:
            return Trajectory(fields=self._arrays, coords=self._coords[None], units=runs.units, **common)
        sets = {}
        for set_name, channels in runs.sets.items():
            fields = {name: self._arrays[name] for name in channels}
            units = {name: unit for name, unit in runs.units.items() if name in channels}
            sets[str(set_name)] = PointSet(self._coords[set_name], fields, units=units)
        return Trajectory(fields={}, sets=sets, **common)

    def _array(self, name: str, queries: QuerySet, values: Tensor) -> np.ndarray:
        if name not in self._arrays:
            shape = (len(self._times.time), queries.index.shape[-1], values.shape[-1])
            path = self._scratch / f"{len(self._arrays)}.npy"
            self._arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        return self._arrays[name]

    def _queries(self, name: SetName, part: QueryBatch, steps: int) -> QuerySet:
        """Target queries of a set of points, with a step axis if `steps` is not 0."""
        own, places = part.target_queries, self._runs.places
        if places is None:
            at, grid_shape = own.coords[:, own.mask[0]] if own.mask is not None else own.coords, own.grid_shape
            grid = self._runs.manifest.grid
            if grid is not None and self._runs.manifest.mask() is not None:  # all of it; holes are emptied at the end
                at, grid_shape = torch.from_numpy(grid.coords())[None].to(own.coords), grid.shape
            self._note_coords(name, own)
        else:
            grid_shape = None if places.axes is None else tuple(len(a.coordinates) for a in places.axes)
            normalised = places.normalised
            if self._runs.manifest.grid is None:
                self._check_inside(name, places)
                if self._runs.scales is not None:
                    normalised = self._runs.scales.to_model(name, places.physical)
            at = torch.from_numpy(normalised)[None].to(own.coords)
            self._coords[name] = places.physical
        lead = (1, steps) if steps else (1,)
        points = at.shape[-2]
        index = torch.arange(points, device=at.device).expand(*lead, points)
        weight = torch.ones((), device=at.device).expand(*lead, points)
        coords = (at[:, None] if steps else at).expand(*lead, points, at.shape[-1])
        return QuerySet(coords, {}, index, weight, grid_shape, scale=own.scale)

    def _note_coords(self, name: SetName, own: QuerySet) -> None:
        manifest = self._runs.manifest
        if manifest.grid is not None or name in self._coords or name not in self._runs.sets:
            return
        spec, frames = manifest.point_set(name), self._times.starts
        origin = 0.0 if spec.origin is None else np.asarray(spec.origin)
        if spec.moving:
            steps = frames * (len(self._times.time) // len(frames))
            each = [self._runs.positions(self.number, name, frame) for frame in steps]
            self._coords[name] = np.stack(each) + origin
        else:
            self._coords[name] = self._runs.positions(self.number, name, 0) + origin
        if manifest.mask(name) is not None:  # predictions are of the points that count
            index = own.index[0] if own.mask is None else own.index[0][own.mask[0]]
            self._coords[name] = self._coords[name][..., index.cpu().numpy(), :]

    def _check_inside(self, name: SetName, places: Places) -> None:
        own = self._runs.positions(self.number, name, 0)
        for component in range(own.shape[1]):
            low, high = float(own[:, component].min()), float(own[:, component].max())
            where = f"the points given, {'xyz'[component]}"
            check_inside(places.normalised[:, component], low, high, where)
