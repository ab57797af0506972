"""From the errors of a batch's queries to averages over tiles, over all ranks."""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.batch.records import Errors
from ups_data.engine.ranks import is_distributed, summed
from ups_data.errors import UpsDataError
from ups_data.loader.feedback.averages import TileAverages
from ups_data.loader.pipeline import SampleSource
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.reading.geometry import GEOMETRIES


class Feedback:
    """What training fed back to a loader. Without a sampling that looks at errors, it does nothing."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self._averages: dict[str | None, TileAverages] = {}
        for selection in source.selections:
            sampling = selection.feeds_back
            if sampling is not None:
                self._averages[selection.set_name] = TileAverages(
                    source.errors[selection.set_name],
                    window=sampling.importance_window,
                    decay=sampling.importance_decay,
                )
        self._of_points = lru_cache(GEOMETRIES)(_of_points)

    def add(self, batch: QueryBatch, errors: Errors) -> None:
        """Take in the errors of one batch's target queries; see `QueryLoader.feedback`."""
        names = [selection.set_name for selection in self._source.selections]
        of_sets: dict[str | None, Tensor] = {}
        of_sets.update({names[0]: errors} if isinstance(errors, Tensor) else errors.items())
        if unknown := set(of_sets) - set(names):
            raise UpsDataError(
                f"feedback: errors of the sets {sorted(map(str, unknown))}, the batch has those of {names}: name these"
            )
        for name, averages in self._averages.items():
            if name in of_sets:
                queries = (batch if len(names) == 1 else batch[str(name)]).target_queries
                tiles = partial(self._tiles, names.index(name), averages.table.shape[1])
                averages.add(batch.trajectory, queries.index, of_sets[name], tiles, _counted(batch, queries))

    def begin(self, epoch: int) -> None:
        """A pass over an epoch begins, on every rank."""
        for averages in self._averages.values():
            averages.begin(epoch, self._of_all_ranks)

    def state_dict(self) -> dict[str, Any]:
        """By set of points; see `TileAverages`. With several ranks, all call this together and get the same."""
        # Ranks that are only played, without torch.distributed, know of no others' errors.
        rank = self._source.ranks.rank if self._source.ranks.world_size > 1 and not is_distributed() else None
        return {
            name or "": {**averages.state_dict(self._of_all_ranks), "rank": rank}
            for name, averages in self._averages.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            UpsDataError: the state is of other sets, trajectories or tiles.
        """
        mine = {name or "" for name in self._averages}
        if set(state) != mine:
            raise UpsDataError(
                f"the loader's state holds errors of the sets {sorted(state)}, this sampling looks at those of "
                f"{sorted(mine)}: it is of another run"
            )
        for name, averages in self._averages.items():
            of_set = state[name or ""]
            if of_set["rank"] not in (None, self._source.ranks.rank):
                raise UpsDataError(
                    f"the loader's state holds the errors of rank {of_set['rank']} alone, this is rank "
                    f"{self._source.ranks.rank}: give each rank its own, or save with torch.distributed initialised"
                )
            averages.load_state_dict(of_set, take_errors=of_set["rank"] is not None or self._source.ranks.rank == 0)

    def _of_all_ranks(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over all ranks of a pipeline of several; processes that are the same rank count once."""
        if self._source.ranks.world_size == 1 or not is_distributed():
            return array
        return summed(array) * (self._source.ranks.world_size / torch.distributed.get_world_size())

    def _tiles(self, reader: int, tiles: int, trajectory: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """The tile of every point: one array for all trajectories, or one for each."""
        return [self._of_points(domain, tiles) for domain in self._source.readers[reader].domains(trajectory)]


def _of_points(domain: Domain, tiles: int) -> NDArray[np.int32]:
    return tiles_in(domain, min(tiles, domain.num_points)).of_point


def _counted(batch: QueryBatch, queries: QuerySet) -> Tensor | None:
    """Which queries are neither padding nor of samples that only fill the batch; None: all."""
    if batch.valid is None:
        return queries.mask
    counted = batch.valid.view(-1, *[1] * (queries.index.dim() - 1)).expand_as(queries.index)
    return counted if queries.mask is None else counted & queries.mask
