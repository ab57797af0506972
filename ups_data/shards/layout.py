"""What all trajectories of a dataset share, taken from the first one and demanded of the others."""

from collections.abc import Mapping, Sequence

import numpy as np

from ups_data.coords import normalise_axis
from ups_data.errors import UpsDataError
from ups_data.schema import AxisSpec, FieldSpec, GridSpec, Manifest, PointsSpec, SplitSpec
from ups_data.shards.casting import stored_dtype
from ups_data.trajectory import ArrayLike, Axis

# A chunk is what one read fetches and one call decodes: large enough that neither is overhead, small enough for cache.
CHUNK_BYTES = 256 * 1024
# One object of the store; several where a shard's field is larger.
OBJECT_BYTES = 512 * 1024**2


class Run:
    """One trajectory as it was handed to `add`, with its shapes read."""

    def __init__(
        self,
        fields: Mapping[str, ArrayLike],
        static: Mapping[str, ArrayLike],
        time: np.ndarray | Sequence[float] | None,
        params: dict[str, float],
        coords: np.ndarray | None,
        axes: Sequence[Axis] | None,
        key: str,
        source: str,
    ) -> None:
        self.fields, self.static = _arrays(fields), _arrays(static)
        self.params, self.axes, self.key, self.source = params, axes, key, source
        self.coords = None if coords is None else np.asarray(coords, np.float32)
        self.where = f"trajectory {key!r}" if key else "the trajectory"
        if not fields:
            raise UpsDataError(f"{self.where} has no fields that change in time: give a static problem T = 1")
        for name, a in self.fields.items():
            if len(a.shape) < 3:
                raise UpsDataError(f"field {name!r} of {self.where} has shape {a.shape}: expected (T, *grid, C)")
        lengths = {name: a.shape[0] for name, a in self.fields.items()}
        self.steps = next(iter(lengths.values()))
        if len(set(lengths.values())) > 1 or self.steps == 0:
            raise UpsDataError(f"fields of {self.where} must have the same number of steps, at least one: {lengths}")
        self.time = np.arange(self.steps, dtype=np.float64) if time is None else np.asarray(time, np.float64)
        if self.time.shape != (self.steps,):
            raise UpsDataError(f"{self.where} has {self.steps} steps but {self.time.size} times")


class Layout:
    """What all trajectories share: fields, geometry, parameters. Taken from the first one."""

    def __init__(self, run: Run, codec: str, cast: str | None) -> None:
        self.codec, self._cast = codec, cast
        first = next(iter(run.fields.values()))
        self.frame_shape = tuple(first.shape[1:-1])
        self.params = list(run.params)
        self.grid, self.points = None, None
        if run.coords is not None:
            if run.coords.ndim != 2 or run.coords.shape[0] != first.shape[1]:
                raise UpsDataError(f"coords of {run.where}: shape {run.coords.shape}, expected ({first.shape[1]}, d)")
            self.points = PointsSpec(num_points=len(run.coords), dim=run.coords.shape[1])
        else:
            self.axes = list(run.axes) if run.axes is not None else _unit_axes(self.frame_shape)
            if tuple(len(a.coordinates) for a in self.axes) != self.frame_shape:
                sizes = {a.name: len(a.coordinates) for a in self.axes}
                raise UpsDataError(f"axes of {run.where} are {sizes}, its grid is {self.frame_shape}")
            self.grid = GridSpec(
                axes=[
                    AxisSpec(
                        name=a.name,
                        physical=np.asarray(a.coordinates, np.float64).tolist(),
                        normalised=normalise_axis(a.coordinates).tolist(),
                        units=a.units,
                        periodic=a.periodic,
                    )
                    for a in self.axes
                ]
            )
        self.specs = [self._spec(n, a, run, static=False) for n, a in run.fields.items()]
        self.specs += [self._spec(n, a, run, static=True) for n, a in run.static.items()]
        # xarray takes a variable named like one of its dimensions for that dimension's coordinates.
        names = {s.name for s in self.specs}
        axes = [a.name for a in self.grid.axes] if self.grid else ["point"]
        self.dimension_names = tuple(f"{a}_axis" if a in names else a for a in axes)

    def _spec(self, name: str, array: ArrayLike, run: Run, *, static: bool) -> FieldSpec:
        dtype = stored_dtype(array.dtype, self._cast, f"field {name!r} of {run.where}")
        row_bytes = int(np.prod(array.shape if static else array.shape[1:])) * dtype.itemsize
        return FieldSpec(
            name=name,
            channels=array.shape[-1],
            dtype=dtype.name,  # type: ignore[arg-type]  # one of STORED
            source_dtype=array.dtype.newbyteorder("=").name,
            static=static,
            chunk_rows=_chunk_rows(row_bytes, 1 if static else run.steps),
        )

    def row_bytes(self, spec: FieldSpec) -> int:
        """Bytes of one stored row of a field."""
        return int(np.prod(self.frame_shape)) * spec.point_bytes

    def check(self, run: Run) -> None:
        """Refuse a trajectory that is not like the first one."""
        given = {**run.fields, **run.static}
        expected = {s.name: (*self.frame_shape, s.channels) for s in self.specs}
        if set(given) != set(expected):
            raise UpsDataError(f"{run.where} has the fields {sorted(given)}, the first one had {sorted(expected)}")
        for spec in self.specs:
            shape = tuple(given[spec.name].shape[0 if spec.static else 1 :])
            if shape != expected[spec.name]:
                raise UpsDataError(
                    f"field {spec.name!r} of {run.where} has shape {shape}, the first trajectory had "
                    f"{expected[spec.name]}: put runs of different shapes into different datasets"
                )
            source_dtype = given[spec.name].dtype.newbyteorder("=").name
            if source_dtype != spec.source_dtype:
                raise UpsDataError(
                    f"field {spec.name!r} of {run.where} is {source_dtype}, it was {spec.source_dtype} before"
                )
        if set(run.params) != set(self.params):
            raise UpsDataError(f"{run.where} has the parameters {sorted(run.params)}, the first one had {self.params}")
        if (run.coords is None) != (self.points is None):
            raise UpsDataError(f"{run.where}: either all trajectories have coords, or none")
        if (
            run.coords is not None
            and self.points is not None
            and run.coords.shape != (self.points.num_points, self.points.dim)
        ):
            raise UpsDataError(f"coords of {run.where} have shape {run.coords.shape}, the first ones had another")
        if self.grid is not None and run.axes is not None:
            for mine, theirs in zip(self.axes, run.axes, strict=True):
                if not np.array_equal(mine.coordinates, theirs.coordinates):
                    raise UpsDataError(f"axis {theirs.name!r} of {run.where} differs from the first trajectory's")

    def manifest(self, source: dict[str, str], splits: dict[str, SplitSpec]) -> Manifest:
        return Manifest(
            fields=self.specs,
            grid=self.grid,
            points=self.points,
            params=self.params,
            codec=self.codec,  # type: ignore[arg-type]  # one of CODECS
            source=source,
            splits=splits,
        )


def _arrays(fields: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
    """Fields with a numpy dtype, as they are where they have one: they may still lie in a file."""
    return {n: a if isinstance(getattr(a, "dtype", None), np.dtype) else np.asarray(a) for n, a in fields.items()}


def _unit_axes(shape: tuple[int, ...]) -> list[Axis]:
    if len(shape) > 3:
        raise UpsDataError(f"a grid of shape {shape}: grids have one to three dimensions; give points their coords")
    return [Axis(name, np.linspace(0.0, 1.0, n)) for name, n in zip("zyx"[-len(shape) :], shape, strict=True)]


def _chunk_rows(row_bytes: int, steps: int) -> int:
    """Rows of a chunk of about CHUNK_BYTES, so that chunks and trajectories share boundaries where that is possible."""
    rows = max(1, CHUNK_BYTES // row_bytes)
    if rows >= steps:
        return rows // steps * steps
    divisors = [k for k in range(rows // 2 + 1, min(2 * rows, steps) + 1) if steps % k == 0]
    return min(divisors, key=lambda k: abs(k - rows), default=rows)
