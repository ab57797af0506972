"""Errors averaged over tiles, and the table of importance that draws take from them.

Within a window of epochs draws see one table, whatever is fed back meanwhile, so that the points of an epoch are a
function of (seed, epoch, trajectory, step, stream) and that table. Worker processes map the same memory.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ups_data.errors import UpsDataError

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


def zero_table(rows: int, tiles: int) -> Tensor:
    """A table of which nothing is known, `(rows, K)` float32, in memory that worker processes can map."""
    return torch.zeros((rows, tiles), dtype=torch.float32, device="cpu").share_memory_()


class TileAverages:
    """Average error of every tile, of each trajectory or shared by all.

    An epoch's errors are averaged over the queries of each tile, and come into the exponential average when the next
    epoch begins: average ← decay · average + (1 - decay) · new, for the tiles that were seen. Where a window of epochs
    begins, the table becomes the averages. Tiles that were never seen count as much as the mean of the others of their
    row; a row of which nothing is known is zero, which a draw takes for no preference.

    An error is rounded to 12 significant bits (a float64 has 53), so that sums come out alike to the last bit in
    whatever order ranks and restarts add them, where errors of a tile span less than six decades.

    Args:
        table: `(rows, K)` float32, see `zero_table`; rows are trajectories, or one for all.
        window: epochs from one table to the next.
        decay: in [0, 1).
    """

    def __init__(self, table: Tensor, *, window: int, decay: float) -> None:
        self.table, self._length, self._decay = table, window, decay
        shape = tuple(table.shape)
        self._average = np.full(shape, np.nan, np.float32)
        self._sum, self._count = np.zeros(shape), np.zeros(shape)
        self._epoch, self._window = 0, 0  # of the sums, and of the table
        self._on_their_way: list[tuple[Any, ...]] = []

    def add(
        self,
        trajectory: Tensor,
        index: Tensor,
        errors: Tensor,
        tiles_of: Callable[[NDArray[np.int64]], list[NDArray[np.int32]]],
        mask: Tensor | None = None,
    ) -> None:
        """Take in the errors of one batch.

        What lies on a CUDA device is copied without waiting for it, and looked at with the next batch.

        Args:
            trajectory: `(B,)`, numbers in the split.
            index: `(B, Q)` or `(B, K, Q)`, row-major numbers of the points.
            errors: of the same shape, of any sign; what is not finite is left out.
            tiles_of: trajectories → `(N,)` tile of every point, one for all or one for each.
            mask: of the same shape, False where a row is padded.

        Raises:
            UpsDataError: shapes that differ.
        """
        if errors.shape != index.shape:
            raise UpsDataError(
                f"feedback: errors have shape {tuple(errors.shape)}, the batch's target queries {tuple(index.shape)}: "
                "give one number for each query"
            )
        tensors = [t if t is None else t.detach() for t in (trajectory, index, errors, mask)]
        event = None
        if errors.is_cuda:
            tensors = [t if t is None else t.to("cpu", non_blocking=True) for t in tensors]
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(errors.device))
        self._on_their_way.append((event, *tensors, tiles_of))
        self._arrive(keep=1 if errors.is_cuda else 0)

    def begin(self, epoch: int, reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda a: a) -> None:
        """A pass over an epoch begins: errors of the epoch before come into the average, and with a new window the
        averages into the table.

        Args:
            reduce: sums an array over all ranks, every one of which calls this.
        """
        if epoch != self._epoch:
            self._arrive(keep=0)
            total, count = reduce(np.stack([self._sum, self._count]))
            seen = count > 0
            new = total[seen] / count[seen]
            old = self._average[seen]
            self._average[seen] = np.where(np.isnan(old), new, self._decay * old + (1 - self._decay) * new)
            self._sum[:], self._count[:] = 0, 0
            self._epoch = epoch
        if epoch // self._length != self._window:
            self._window = epoch // self._length
            self.table.copy_(torch.from_numpy(self._importance()))

    def state_dict(self, reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda a: a) -> dict[str, Any]:
        """Averages, table, and the errors since the epoch began.

        Args:
            reduce: as in `begin`.
        """
        self._arrive(keep=0)
        total, count = reduce(np.stack([self._sum, self._count]))
        arrays: dict[str, NDArray[Any]] = {"average": self._average, "sum": total, "count": count}
        copies = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return {**copies, "table": self.table.clone(), "epoch": self._epoch, "window": self._window}

    def load_state_dict(self, state: Mapping[str, Any], *, take_errors: bool = True) -> None:
        """Continue where `state_dict` was taken.

        Args:
            take_errors: whether this rank takes the errors since the epoch began; of all ranks, one does.

        Raises:
            UpsDataError: the state is of other trajectories or tiles.
        """
        if state["table"].shape != self.table.shape:
            raise UpsDataError(
                f"the loader's state holds errors of {tuple(state['table'].shape)} (trajectories, tiles), this run has "
                f"{tuple(self.table.shape)}: it is of another dataset or sampling: give those that it was saved with"
            )
        self._on_their_way.clear()
        self.table.copy_(state["table"])
        self._average = state["average"].numpy().copy()
        self._sum, self._count = (state[name].numpy() * float(take_errors) for name in ("sum", "count"))
        self._epoch, self._window = state["epoch"], state["window"]

    def _importance(self) -> NDArray[np.float32]:
        known = ~np.isnan(self._average)
        number = known.sum(axis=1, keepdims=True)
        mean = np.where(known, self._average, 0).sum(axis=1, keepdims=True) / np.maximum(number, 1)
        return np.where(known, self._average, mean).astype(np.float32)

    def _arrive(self, keep: int) -> None:
        """Add up what has been copied, but for the last `keep` batches."""
        while len(self._on_their_way) > keep:
            event, trajectory, index, errors, mask, tiles_of = self._on_their_way.pop(0)
            if event is not None:
                event.synchronize()
            self._add_up(
                trajectory.numpy(),
                index.numpy(),
                errors.double().numpy(),
                mask if mask is None else mask.numpy(),
                tiles_of,
            )

    def _add_up(
        self,
        trajectory: NDArray[np.int64],
        index: NDArray[np.int64],
        errors: NDArray[np.float64],
        mask: NDArray[np.bool_] | None,
        tiles_of: Callable[[NDArray[np.int64]], list[NDArray[np.int32]]],
    ) -> None:
        samples, tiles = len(trajectory), self.table.shape[1]
        tables, index = tiles_of(trajectory), index.reshape(samples, -1)
        if len(tables) == 1:
            place = tables[0].take(index).astype(np.int64)
        else:
            place = np.stack([table.take(row) for table, row in zip(tables, index, strict=True)]).astype(np.int64)
        place += np.arange(samples)[:, None] * tiles
        size = _rounded(np.abs(errors.reshape(samples, -1)))
        used = np.isfinite(size) if mask is None else np.isfinite(size) & mask.reshape(samples, -1)
        if not used.all():
            place, size = place[used], size[used]
        place = place.ravel()
        total = np.bincount(place, size.ravel(), samples * tiles).reshape(samples, tiles)
        count = np.bincount(place, minlength=samples * tiles).reshape(samples, tiles)
        row = trajectory if len(self.table) > 1 else np.zeros_like(trajectory)
        np.add.at(self._sum, row, total)
        np.add.at(self._count, row, count)


def _rounded(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """To 12 significant bits; what a float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        bits = size.astype(np.float32).view(np.uint32)
    bits = (bits + np.uint32(1 << 11)) & np.uint32(0xFFFFF000)
    return bits.view(np.float32).astype(np.float64)
