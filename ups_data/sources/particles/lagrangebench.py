"""LagrangeBench's particles (https://github.com/tumaer/lagrangebench): `train.h5`, `valid.h5`, `test.h5`."""

from pathlib import Path

import h5py
import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema.texts.json_text import parse_json
from ups_data.sources.base import SPLITS, Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.hdf5.files import lazy_dataset, opened
from ups_data.sources.lazy import LazyArray
from ups_data.sources.listing import by_number
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import are_positions, finite_frames, own_field
from ups_data.trajectory import Trajectory

POSITION = "position"


class LagrangebenchSource(Source):
    """A group per trajectory, `00000` …, with `position` [T, N, D] and, still, `particle_type` [N].

    The positions are the coordinates, which move; other arrays [T, N] or [T, N, C] are fields, [N] or [N, C] static.
    Where no array is a field, `position` is: velocities are differences of it, which a model takes as it likes, with
    the domain's periods that only `metadata.json` knows. That file, if it lies beside, gives the times of the frames,
    dt × write_every apart. The split is the file's name.

    Raises:
        UpsDataError: while iterating, a group without positions or with an array on other points; positions of NaN.
    """

    format = "lagrangebench"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if content.kind != "hdf5":
            raise UpsDataError(f"{path}: {content}, a group per trajectory with position [T, N, D] is expected")
        self._keys = sorted(content.keys, key=lambda key: by_number(Path(key)))
        self._step = _time_step(self.path.parent / "metadata.json")

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        return content.kind == "hdf5" and POSITION in content.inside

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int, /) -> Trajectory:
        key = self._keys[number]
        with opened(self.path) as file:
            return self._trajectory(file[key], key)

    def splits(self) -> list[str | None]:
        """See `Source.splits`: the file's name."""
        return [SPLITS.get(self.path.stem)] * len(self._keys)

    def _trajectory(self, group: h5py.Group, key: str) -> Trajectory:
        where = f"{self.path}: group {key}"
        position = group.get(POSITION) if isinstance(group, h5py.Group) else None
        if not isinstance(position, h5py.Dataset) or not are_positions(position.shape, lead=(2,)):
            found = getattr(position, "shape", None)
            raise UpsDataError(
                f"{where}: {f'position has shape {found}' if found else 'no position'}, [T, N, D] with D of 1 to 3 is "
                "expected: correct or remove the group"
            )
        frames, points, _ = position.shape
        fields: dict[str, LazyArray] = {}
        static: dict[str, LazyArray] = {}
        for name, array in group.items():
            shape = getattr(array, "shape", ())
            if name == POSITION:
                continue
            if shape[:2] == (frames, points) and len(shape) <= 3:
                fields[name] = lazy_dataset(self.path, array, (), _with_channels(shape, 2))
            elif shape[:1] == (points,) and len(shape) <= 2:
                static[name] = lazy_dataset(self.path, array, (), _with_channels(shape, 1))
            else:
                raise UpsDataError(
                    f"{where}: {name} has shape {shape}, position has {position.shape}: [{frames}, {points}], "
                    f"[{frames}, {points}, C], [{points}] or [{points}, C] is expected, correct or remove it"
                )
        coords = finite_frames(f"{where}: {POSITION}", lazy_dataset(self.path, position, (), position.shape))
        return Trajectory(
            key=key,
            source=str(self.path),
            fields=fields or own_field(POSITION, coords),
            static=static,
            time=None if self._step is None else self._step * np.arange(frames),
            coords=coords,
            split=SPLITS.get(self.path.stem),
        )


def _with_channels(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    return shape if len(shape) > axes else (*shape, 1)


def _time_step(metadata: Path) -> float | None:
    """Time between frames, None where the file is not there or does not say."""
    if not metadata.is_file():
        return None
    try:
        values = parse_json(metadata.read_bytes())
    except (OSError, ValueError) as error:
        raise UpsDataError(f"{metadata}: cannot be read as JSON, correct or remove it ({error})") from error
    step, every = (values.get(name) if isinstance(values, dict) else None for name in ("dt", "write_every"))
    if not isinstance(step, int | float) or not isinstance(every, int | float):
        return None
    return float(step) * float(every)
