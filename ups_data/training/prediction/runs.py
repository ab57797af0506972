"""The predicted trajectories while they are made: arrays on the disk, filled chunk by chunk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.exporting.trajectories import axes_of
from ups_data.loader.stretches.stretches import SampleFrames
from ups_data.schema import Manifest
from ups_data.store.kernel import advice
from ups_data.store.masks.counted import counted_points
from ups_data.store.shard import Shard
from ups_data.training.forecast.forecast import Forecast
from ups_data.training.forecast.parts import SetName, every_step, of_every_step, sets_of, with_sets
from ups_data.training.forecast.scales import Scales
from ups_data.training.prediction.places import Places, check_inside, nearest_points
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
        self._nearest = None if places is None or manifest.grid is None else nearest_points(manifest, places)
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

    def points(self, number: int, set_name: SetName) -> int:
        """N, of a set of points."""
        shard, local = self._where[number]
        return shard.num_points(set_name, local)

    def positions(self, number: int, set_name: SetName, frame: int) -> np.ndarray:
        """`(N, d)` of a set of points, as stored; of the last frame, if there is no such one."""
        shard, local = self._where[number]
        found = shard.positions(set_name, local, min(frame, shard.steps[local] - 1))
        shard.let_go()
        return found

    def counted(self, number: int, set_name: SetName, frames: np.ndarray) -> np.ndarray | None:
        """`(frames, N)`, which points of a set, or which of the places asked for, count in those frames of a
        trajectory; None: all do, or it is not known, as of other places than a grid's."""
        shard, local = self._where[number]
        if self.manifest.mask(set_name) is None or (self.places is not None and self._nearest is None):
            return None
        of_frame = {step: counted_points(shard, set_name, local, step) for step in np.unique(frames).tolist()}
        points = shard.num_points(set_name, local) if self.manifest.grid is None else self.manifest.num_points
        rows = np.ones((len(frames), points), bool)
        for row, step in zip(rows, frames.tolist(), strict=True):
            if of_frame[step] is not None:
                row[:] = of_frame[step]
        return rows if self._nearest is None else rows[:, self._nearest]

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
        self._counted = {name: runs.counted(number, name, times.frames) for name in runs.sets}

    def predict(
        self, batch: QueryBatch, forecast: Forecast, frames: Mapping[SetName, SampleFrames] | None = None
    ) -> None:
        """Predict from a sample, if it is one of the starts.

        Args:
            frames: set of points → where its points are read, stretch by stretch, if the batch does not hold them all.
        """
        slot = self._slots.get(int(batch.step[0]))
        if slot is None:
            return
        steps = self._times.dt.shape[1]
        several = steps > 1 or forecast.horizon > 1
        dt = torch.from_numpy(self._times.dt[slot : slot + 1]).to(batch.time)
        queries = {
            name: self._queries(name, part, slot, steps if several else 0, held=frames is None)
            for name, part in sets_of(batch).items()
        }
        asked = with_sets(batch, queries, {}, dt=dt if several else dt[:, 0])
        for piece in forecast(asked, None if frames is None else {n: of_every_step(f) for n, f in frames.items()}):
            number = piece.queries.index[0, 0].cpu().numpy()
            columns = piece.columns if frames is None else self._runs.points(self.number, piece.set_name)
            for name, values in piece.values.items():
                array = self._array(name, columns, values.shape[-1])
                array[slot + piece.step : slot + piece.step + values.shape[1], number] = values[0].cpu().numpy()
                if frames is not None:
                    advice.let_go(array.ctypes.data, array.nbytes)

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
        axes = axes_of(runs.manifest) if runs.places is None else None
        axes = runs.places.axes if runs.places is not None else axes
        if axes is not None:
            shape = [len(axis.coordinates) for axis in axes]
            mask = self._emptied(None)
            mask = None if mask is None else mask.reshape(len(mask), *shape)
            fields = {n: a.reshape(len(a), *shape, a.shape[-1]) for n, a in self._arrays.items()}
            return Trajectory(fields=fields, axes=axes, units=runs.units, mask=mask, **common)
        if len(runs.sets) == 1 and None in runs.sets:
            mask = self._emptied(None)
            return Trajectory(fields=self._arrays, coords=self._coords[None], units=runs.units, mask=mask, **common)
        sets = {}
        for set_name, channels in runs.sets.items():
            fields = {name: self._arrays[name] for name in channels}
            units = {name: unit for name, unit in runs.units.items() if name in channels}
            sets[str(set_name)] = PointSet(self._coords[set_name], fields, units=units, mask=self._emptied(set_name))
        return Trajectory(fields={}, sets=sets, **common)

    def _emptied(self, set_name: SetName) -> np.ndarray | None:
        """`(frames, N)`, which points of a set count. What was predicted at the others becomes NaN."""
        counted = self._counted[set_name]
        if counted is not None:
            for name in self._runs.sets[set_name]:
                for frame, there in zip(self._arrays[name], counted, strict=True):
                    frame[~there] = np.nan
        return counted

    def _array(self, name: str, points: int, channels: int) -> np.ndarray:
        if name not in self._arrays:
            shape = (len(self._times.time), points, channels)
            path = self._scratch / f"{len(self._arrays)}.npy"
            self._arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        return self._arrays[name]

    def _queries(self, name: SetName, part: QueryBatch, slot: int, steps: int, *, held: bool) -> QuerySet:
        """Target queries of a set of points, with a step axis if `steps` is not 0; of all points, also where some do
        not count, masked there. If not `held`, the batch's own: the others are read."""
        own, places = part.target_queries, self._runs.places
        if not held:
            self._note_coords(name)
            return every_step(own, steps) if steps else own
        if places is None:
            at, grid_shape = own.coords[:, own.mask[0]] if own.mask is not None else own.coords, own.grid_shape
            if self._runs.manifest.mask(name) is not None:
                at, grid_shape = self._every_point(name, self._times.starts[slot]).to(own.coords), self._grid_shape
            self._note_coords(name)
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
        counted, mask = self._counted.get(name), None
        if counted is not None:
            frames = max(1, steps)
            mask = torch.from_numpy(counted[slot * frames : (slot + 1) * frames]).to(at.device).view(*lead, points)
        return QuerySet(coords, {}, index, weight, grid_shape, mask, own.scale)

    @property
    def _grid_shape(self) -> tuple[int, ...] | None:
        grid = self._runs.manifest.grid
        return None if grid is None else grid.shape

    def _every_point(self, name: SetName, frame: int) -> Tensor:
        """`(1, N, d)`, where all points of a set are in a frame, as the model takes them."""
        runs = self._runs
        if runs.manifest.grid is not None:
            return torch.from_numpy(runs.manifest.grid.coords())[None]
        origin = runs.manifest.point_set(name).origin
        at = runs.positions(self.number, name, frame) + (0.0 if origin is None else np.asarray(origin))
        return torch.from_numpy(np.asarray(at if runs.scales is None else runs.scales.to_model(name, at)))[None]

    def _note_coords(self, name: SetName) -> None:
        manifest = self._runs.manifest
        if manifest.grid is not None or name in self._coords or name not in self._runs.sets:
            return
        spec, frames = manifest.point_set(name), self._times.starts
        if spec.moving:
            steps = frames * (len(self._times.time) // len(frames))
            self._coords[name] = np.stack([self._runs.positions(self.number, name, frame) for frame in steps])
        else:
            self._coords[name] = self._runs.positions(self.number, name, 0)
        if spec.origin is not None:
            self._coords[name] = self._coords[name] + np.asarray(spec.origin)

    def _check_inside(self, name: SetName, places: Places) -> None:
        own = self._runs.positions(self.number, name, 0)
        for component in range(own.shape[1]):
            low, high = float(own[:, component].min()), float(own[:, component].max())
            where = f"the points given, {'xyz'[component]}"
            check_inside(places.normalised[:, component], low, high, where)
