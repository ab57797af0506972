"""One opened shard: its fields and the tables of its trajectories."""

import threading
from functools import cached_property
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.blocks import Blocks, single_block
from ups_data.schema import FieldSpec, Manifest, ShardSpec
from ups_data.store.arrays.channels import ChannelArray
from ups_data.store.arrays.direct import DirectArray
from ups_data.store.arrays.metadata import array_name, mask_name, mask_table
from ups_data.store.arrays.opening import blocks_of_index, open_array, stored_row
from ups_data.store.arrays.stored import StoredArray, Verify
from ups_data.store.arrays.table import read_table
from ups_data.store.object_store import AGAIN
from ups_data.store.root import Root, open_store
from ups_data.store.seal import Seal, load_seal


class Shard:
    """A shard of a dataset; its seal, arrays and tables are opened when they are first asked for.

    Args:
        root: the dataset's folder, or the store that it lies in.
        spec: the shard's entry in the manifest.
        verify: when chunks are compared with their checksums.

    Attributes:
        store: of the dataset.
        key: of the shard there.
    """

    def __init__(self, root: Root, manifest: Manifest, spec: ShardSpec, verify: Verify = "first") -> None:
        self.store, self.key = open_store(root), spec.path
        self._manifest, self._spec, self._verify = manifest, spec, verify
        self._where = f"shard {self.store.name(self.key)}"
        self._arrays: dict[str, StoredArray] = {}
        self._views: dict[str, StoredArray] = {}  # fields of packs
        self._points: dict[str | None, list[int]] = {}
        self._lock = threading.Lock()
        self._geometries: WeakValueDictionary[tuple[str | None, int], Blocks] = WeakValueDictionary()
        self._grid_geometry: Blocks | None = None

    @property
    def path(self) -> Path:
        """Its folder.

        Raises:
            UpsDataError: it is not in a folder.
        """
        path = self.store.local_path(self.key)
        if path is None:
            raise UpsDataError(f"{self._where}: is not in a folder; copy the dataset into one")
        return path

    @cached_property
    def seal(self) -> Seal:
        """What its files hold. Raises UpsDataError if it is missing, or is not the one that the manifest lists."""
        return load_seal(self.store, self.key, self._spec.digest)

    def field(self, name: str) -> StoredArray:
        """Rows of a field, one for each frame; one for each trajectory if the field is static.

        `(rows, *grid, C)` for the whole frames of a grid. In blocks, `(rows, blocks * P, C)`, as `geometry` has them;
        the blocks that a trajectory of fewer points lacks are absent.

        Raises:
            UpsDataError: the array is missing, damaged, or not what the manifest says.
        """
        array = self._arrays.get(f"fields/{name}")
        if array is not None:
            return array
        spec, manifest = self._manifest.field(name), self._manifest
        pack = manifest.pack_of(name)
        if pack is not None:
            first = manifest.pack_channels(pack)[1][name]
            return self._view(f"fields/{name}", pack, first, spec.channels)
        return self._open_field(name, f"field {name!r}", spec, spec.channels)

    def _open_field(self, name: str, called: str, spec: FieldSpec, channels: int) -> StoredArray:
        """The array `fields/<name>`, of a field like `spec` with so many channels."""
        manifest = self._manifest
        rows = len(self._spec.steps) if spec.static else self._spec.rows
        whole_grid = manifest.grid is not None and manifest.blocks == 1
        points = manifest.frame_shape if whole_grid else (self._slots(spec.point_set),)
        shape = (rows, *points, channels)
        return self._open(f"fields/{name}", called, spec.dtype, shape, manifest.block_points(spec.point_set))

    def _view(self, name: str, pack: str, first: int, channels: int | None, dtype: str | None = None) -> StoredArray:
        """Channels of a pack, under the name that they would have as an array of their own."""
        manifest, known = self._manifest, self._views.get(name)
        if known is not None:
            return known
        spec = manifest.field((manifest.packs or {})[pack].fields[0])
        whole = self._open_field(pack, f"pack {pack!r}", spec, len(manifest.pack_channels(pack)[0]))
        view = ChannelArray(whole, first, channels, None if dtype is None else np.dtype(dtype))
        return self._views.setdefault(name, view)  # threads share one

    def coords(self, set_name: str | None = None) -> StoredArray:
        """Positions of a set of points in the order of its blocks, float32.

        `(trajectories, blocks * P, d)`, or `(rows, blocks * P, d)` if they move or are stored beside fields; see
        `coords_row`.
        """
        spec, name = self._manifest.point_set(set_name), f"{_folder(set_name)}/coords"
        pack = self._manifest.pack_of_points(set_name)
        if pack is not None:
            return self._view(name, pack, 0, spec.dim)
        rows = self._spec.rows if spec.moving else len(self._spec.steps)
        if name in self._arrays:
            return self._arrays[name]
        return self._open(name, name, "float32", (rows, self._slots(set_name), spec.dim), spec.block_points)

    def index(self, set_name: str | None = None) -> StoredArray:
        """The numbers of the points in each slot, -1 if it is empty, int32: `(geometries, blocks * P)`.

        A grid has one geometry; points have one for each trajectory. Only where `geometry` is not None and a shard
        has more than one block: points in one block have the order that they were given in.
        """
        name = f"{_folder(set_name)}/index"
        pack = self._manifest.pack_of_index(set_name)
        if pack is not None:
            return self._view(name, pack, self._manifest.point_set(set_name).dim, None, "int32")
        rows = 1 if self._manifest.grid is not None else len(self._spec.steps)
        if name in self._arrays:
            return self._arrays[name]
        shape = (rows, self._slots(set_name))
        return self._open(name, name, "int32", shape, self._manifest.block_points(set_name))

    def coords_row(self, set_name: str | None, trajectory: int, step: int = 0) -> int:
        """The row of the coordinates of a frame of one of the shard's trajectories."""
        return self.first_row(trajectory) + step if self._manifest.coords_by_frame(set_name) else trajectory

    def index_row(self, set_name: str | None, trajectory: int) -> int:
        """A row of `index` of one of the shard's trajectories, or of a grid's only geometry."""
        return trajectory if self._manifest.pack_of_index(set_name) is None else self.first_row(trajectory)

    def importance(self, metric: str, set_name: str | None = None) -> StoredArray:
        """Importance of the tiles of every frame, float16: `(rows, K)`.

        Raises:
            UpsDataError: the dataset does not hold it, or the array is missing or damaged.
        """
        name = array_name(metric, set_name)
        if name in self._arrays:
            return self._arrays[name]
        tiles = self._manifest.num_tiles(metric, set_name)
        return self._open(name, name, "float16", (self._spec.rows, tiles), tiles)

    def mask(self, set_name: str | None = None) -> StoredArray:
        """Which points of a set count, uint8 in the stored order: `(masks, blocks * P)`; see `mask_rows`."""
        name, shape = mask_name(set_name), ((self._spec.masks or {})[set_name or ""].rows, self._slots(set_name))
        block = shape[1] if self._manifest.grid is not None else self._manifest.block_points(set_name)
        return self._arrays.get(name) or self._open(name, name, "uint8", shape, block)

    def mask_rows(self, set_name: str | None = None) -> NDArray[np.int64] | None:
        """`(rows,)`, which of `mask` each frame has, -1 where all of its points count; None: no frame has one."""
        listed = (self._spec.masks or {}).get(set_name or "")
        if listed is None:
            return None
        rows = self._table(mask_table(set_name).partition("/")[2], (self._spec.rows,)).astype(np.int64)
        if not (rows.min() >= -1 and rows.max() < listed.rows):
            raise UpsDataError(f"{self._where}, {mask_table(set_name)}: names masks that are not there; {AGAIN}")
        return rows

    def geometry(self, set_name: str | None, trajectory: int, index: NDArray[np.int32] | None = None) -> Blocks | None:
        """The blocks of one of the shard's trajectories; None if rows are frames in their own order, all slots full.

        A grid's are the same for all trajectories and shards of a dataset. Kept as long as somebody uses them (a
        grid's: as long as the shard).

        Args:
            index: of points, the trajectory's row of `index` as far as it has blocks, if the caller has read it;
                None: it is read here.

        Raises:
            UpsDataError: the index is missing, damaged, or not a permutation of the points.
        """
        manifest = self._manifest
        if manifest.grid is not None:
            if manifest.blocks == 1:
                return None
            if self._grid_geometry is None:
                self._grid_geometry = self._read_geometry(None, 0, manifest.num_points)
            return self._grid_geometry
        points, slots = self.num_points(set_name, trajectory), self._slots(set_name)
        if slots == manifest.block_points(set_name):
            return None if points == slots else single_block(points, slots)
        blocks = self._geometries.get((set_name, trajectory))
        if blocks is None:
            blocks = self._geometries[set_name, trajectory] = self._read_geometry(set_name, trajectory, points, index)
        return blocks

    def num_points(self, set_name: str | None, trajectory: int) -> int:
        """N, points of one of the shard's trajectories."""
        return self._points_of(set_name)[trajectory]

    def first_row(self, trajectory: int) -> int:
        """The row of the first frame of one of the shard's trajectories."""
        return sum(self._spec.steps[:trajectory])

    @property
    def steps(self) -> list[int]:
        """Frames of each trajectory."""
        return self._spec.steps

    def frame(self, name: str, trajectory: int, step: int = 0) -> np.ndarray:
        """One frame of a field with its points in their own order, `(N, C)`; a static field has only one.

        Args:
            trajectory: its number in the shard.
        """
        spec = self._manifest.field(name)
        row = trajectory if spec.static else self.first_row(trajectory) + step
        return self._dense(self.field(name), row, self.geometry(spec.point_set, trajectory))

    def positions(self, set_name: str | None, trajectory: int, step: int = 0) -> np.ndarray:
        """The coordinates of a set of points in their own order, `(N, d)`."""
        row = self.coords_row(set_name, trajectory, step if self._manifest.point_set(set_name).moving else 0)
        return self._dense(self.coords(set_name), row, self.geometry(set_name, trajectory))

    def fetch_seconds(self) -> float:
        """Time spent so far on opening, reading and checking the stored bytes of its arrays."""
        return sum(array.fetch_seconds for array in list(self._arrays.values()))

    def read_bytes(self) -> int:
        """Stored bytes of the chunks fetched so far, of fields, coordinates and indexes."""
        return sum(array.read_bytes for array in list(self._arrays.values()))

    def let_go(self) -> None:
        """What was read of its files takes no memory until it is used again."""
        for array in [a for a in list(self._arrays.values()) if isinstance(a, DirectArray)]:
            array.let_go()

    def _points_of(self, set_name: str | None) -> list[int]:
        if set_name not in self._points:
            self._points[set_name] = self._manifest.shard_points(self._spec, set_name)
        return self._points[set_name]

    def _dense(self, array: StoredArray, row: int, blocks: Blocks | None) -> np.ndarray:
        stored = stored_row(array, row, 1 if blocks is None else len(blocks)).reshape(-1, array.shape[-1])
        return stored if blocks is None else stored[blocks.slots]

    def _slots(self, set_name: str | None) -> int:
        """Slots of a stored row."""
        manifest = self._manifest
        most = max(self._points_of(set_name))
        return manifest.num_blocks(most, set_name) * manifest.block_points(set_name)

    def _open(self, name: str, called: str, dtype: str, expected: tuple[int, ...], block_points: int) -> StoredArray:
        with self._lock:  # an array is the key of its chunks in a pool: threads must share one
            if name in self._arrays:
                return self._arrays[name]
            seal = self.seal.array(name)
            where = f"{self._where}, {called}"
            array = open_array(self.store, f"{self.key}/{name}", where=where, seal=seal, verify=self._verify)
            if array.shape != expected or array.dtype.name != dtype:
                raise UpsDataError(
                    f"{where}: holds {array.dtype.name} {array.shape}, the manifest says "
                    f"{dtype} {expected}; copy or make the dataset again"
                )
            if array.block_points != block_points:
                raise UpsDataError(
                    f"{where}: has blocks of {array.block_points} points, the manifest says "
                    f"{block_points}; copy or make the dataset again"
                )
            self._arrays[name] = array
            return array

    def _read_geometry(
        self, set_name: str | None, geometry: int, points: int, index: NDArray[np.int32] | None = None
    ) -> Blocks:
        slots, blocks = self._manifest.block_points(set_name), self._manifest.num_blocks(points, set_name)
        if index is None:
            index = stored_row(self.index(set_name), self.index_row(set_name, geometry), blocks)
        where = f"{self._where}, {_folder(set_name)}/index: geometry {geometry}"
        return blocks_of_index(index[: blocks * slots], points, slots, where)

    @cached_property
    def time(self) -> np.ndarray:
        """(rows,) float64, the time of each frame."""
        return self._table("time", (self._spec.rows,))

    @cached_property
    def params(self) -> np.ndarray:
        """(trajectories, parameters) float64, columns in the manifest's order."""
        shape = len(self._spec.steps), len(self._manifest.params)
        return self._table("params", shape) if shape[1] else np.empty(shape)

    def _table(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return read_table(self.seal, f"trajectories/{name}", shape, where=f"{self._where}, trajectories/{name}")


def _folder(set_name: str | None) -> str:
    return "points" if set_name is None else f"points/{set_name}"
