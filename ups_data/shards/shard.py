"""One opened shard: its fields and the tables of its trajectories."""

import threading
from functools import cached_property
from pathlib import Path

import numpy as np
import zarr

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest, ShardSpec
from ups_data.shards.reader import StoredArray, open_array


class Shard:
    """A shard of a dataset; arrays and tables are opened when they are first asked for.

    Args:
        root: the dataset's folder.
        spec: the shard's entry in the manifest.
    """

    def __init__(self, root: str | Path, manifest: Manifest, spec: ShardSpec) -> None:
        self.path = Path(root) / spec.path
        self._manifest, self._spec = manifest, spec
        self._fields: dict[str, StoredArray] = {}
        self._lock = threading.Lock()

    def field(self, name: str) -> StoredArray:
        """Rows of a field: `(rows, *frame_shape, C)`; one row per trajectory where it is static.

        Raises:
            UpsDataError: the array is missing, damaged, or not what the manifest says.
        """
        array = self._fields.get(name)
        return array if array is not None else self._open(name)

    def _open(self, name: str) -> StoredArray:
        with self._lock:  # an array is the key of its chunks in a pool: threads must share one
            if name in self._fields:
                return self._fields[name]
            spec = self._manifest.field(name)
            array = open_array(self.path / "fields" / name, where=f"shard {self.path}, field {name!r}")
            rows = len(self._spec.steps) if spec.static else self._spec.rows
            expected = (rows, *self._manifest.frame_shape, spec.channels)
            if array.shape != expected or array.dtype.name != spec.dtype:
                raise UpsDataError(
                    f"shard {self.path}, field {name!r}: holds {array.dtype.name} {array.shape}, the manifest says "
                    f"{spec.dtype} {expected}; copy or make the dataset again"
                )
            self._fields[name] = array
            return array

    def fetch_seconds(self) -> float:
        """Time spent so far on opening, reading and checking the stored bytes of its fields."""
        return sum(array.fetch_seconds for array in list(self._fields.values()))

    @cached_property
    def time(self) -> np.ndarray:
        """(rows,) float64, the time of each frame."""
        return self._table("time", (self._spec.rows,))

    @cached_property
    def params(self) -> np.ndarray:
        """(trajectories, parameters) float64, columns in the manifest's order."""
        count = len(self._spec.steps)
        return (
            self._table("params", (count, len(self._manifest.params)))
            if self._manifest.params
            else np.empty((count, 0))
        )

    @cached_property
    def coords(self) -> StoredArray:
        """Positions of points, one row per trajectory: `(trajectories, N, d)`."""
        return open_array(self.path / "points" / "coords", where=f"shard {self.path}, points/coords")

    def _table(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        where = f"shard {self.path}, trajectories/{name}"
        try:
            table = np.asarray(zarr.open_array(self.path / "trajectories" / name, mode="r")[...])
        except Exception as e:
            raise UpsDataError(f"{where}: {type(e).__name__}: {e}; copy or make the shard again") from e
        if table.shape != shape:
            raise UpsDataError(f"{where}: shape {table.shape}, the manifest says {shape}; copy or make the shard again")
        return table
