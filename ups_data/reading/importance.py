"""The importance of tiles that the draws of a block look at: read from the shards, or fed back by training."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ups_data.batch import Fetched, Read, Recipe
from ups_data.reading.frames import StoredFrames
from ups_data.reading.geometry import Origin
from ups_data.reading.pool import Pool
from ups_data.sampling import QuerySampling, Stream


class TileRows(NamedTuple):
    """Stored rows of importance, and what is read of them."""

    frames: StoredFrames
    read: Read
    tiles: int


class TileImportance:
    """Of one set of points. What it reads is as long as its samples have tiles: no frame is looked at.

    Args:
        errors: `(trajectories or 1, K)`, of the metric `error`; see `TileAverages`.
    """

    def __init__(self, recipe: Recipe, pool: Pool, set_name: str | None, errors: Tensor | None) -> None:
        self._pool, self._set_name = pool, set_name
        self._errors = None if errors is None else errors.numpy()
        self._samplings: dict[Stream, QuerySampling | None] = {
            Stream.INPUTS: recipe.inputs,
            Stream.INPUT_QUERIES: recipe.sampling if recipe.input_queries else None,
            Stream.TARGET_QUERIES: recipe.sampling,
        }

    def wants(
        self, origin: Origin, input_rows: NDArray[np.int64], target_rows: NDArray[np.int64], moment: float
    ) -> dict[Stream, TileRows | None]:
        """Each draw that looks at importance at this moment, and its copy of what is stored; None: it is fed back.

        Args:
            origin: of the samples.
            input_rows, target_rows: `(samples, steps)`, rows of the frames in their shards.

        Raises:
            UpsDataError: stored importance is missing.
        """
        found: dict[Stream, TileRows | None] = {}
        for stream, sampling in self._samplings.items():
            by_volume = sampling is not None and sampling.importance_metric == "volume"  # see `Cells`
            if sampling is not None and sampling.uses_importance(moment) and not by_volume:
                rows = target_rows if stream is Stream.TARGET_QUERIES else input_rows
                fed_back = sampling.importance_metric == "error"
                found[stream] = None if fed_back else self._stored(origin, rows, sampling.importance_metric)
        return found

    def of(
        self, wanted: Mapping[Stream, TileRows | None], fetched: Fetched, trajectory: NDArray[np.int64], horizon: int
    ) -> dict[Stream, NDArray[np.floating]]:
        """`(samples * steps, K)` for each of those draws.

        Args:
            fetched: the copies' reads.
            trajectory: `(samples,)`, numbers in the split.
            horizon: target frames of a sample.

        Raises:
            UpsDataError: stored importance is damaged.
        """
        found: dict[Stream, NDArray[np.floating]] = {}
        for stream, copy in wanted.items():
            if copy is None:
                steps = horizon if stream is Stream.TARGET_QUERIES else 1
                found[stream] = self._fed_back(np.repeat(trajectory, steps))
            else:
                out = np.empty((len(copy.frames), copy.tiles, 1), np.float16)
                copy.frames.copy_to(out, fetched.source(copy.read))
                found[stream] = out[..., 0]
        return found

    def _fed_back(self, trajectory: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self._errors is not None
        return self._errors[trajectory if len(self._errors) > 1 else np.zeros_like(trajectory)]

    def _stored(self, origin: Origin, rows: NDArray[np.int64], metric: str) -> TileRows:
        arrays = [shard.importance(metric, self._set_name) for shard in origin.shards]
        frames = StoredFrames(self._pool, arrays, np.repeat(origin.shard, rows.shape[1]), rows.ravel(), [None])
        return TileRows(frames, frames.wants(), arrays[0].shape[1])
