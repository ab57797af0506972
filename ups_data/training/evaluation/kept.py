"""Frames that pictures are made of: truth and prediction of one sample at some steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.training.forecast.forecast import Piece


@dataclass
class KeptFrame:
    """One channel of one frame.

    Attributes:
        coords: `(n, d)`, of points in the source's units, of a grid from 0 to 1.
        truth, predicted: `(n,)`, in physical units.
        grid: the grid's shape in array order, None for points.
        time: of the frame.
        channels: of the field; the first one is here.
    """

    coords: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    grid: tuple[int, ...] | None
    time: float
    channels: int = 1


@dataclass
class Kept:
    """Keeps the first sample that is compared.

    Args:
        steps: which steps, from 0; negative ones from the end; None: the first, the middle and the last.
        most: points of a cloud that are kept, evenly through their order.

    Attributes:
        frames: field → step → frame.
    """

    steps: Sequence[int] | None = None
    most: int = 100_000
    frames: dict[str, dict[int, KeptFrame]] = field(default_factory=dict)
    _sample: tuple[int, int] | None = None

    def take(self, name: str, part: QueryBatch, queries: QuerySet, piece: Piece, predicted: Tensor) -> None:
        """A piece of the predictions of a field, `(B, k, Q, C)`; `queries` have a step axis."""
        row = 0 if part.valid is None else int(part.valid.long().argmax())  # the others only fill the batch
        sample = int(part.trajectory[row]), int(part.step[row])
        if self._sample is None:
            self._sample = sample
        if sample != self._sample or (part.valid is not None and not bool(part.valid[row])):
            return
        steps = queries.index.shape[1]
        for step in self._wanted(steps):
            if not piece.step <= step < piece.step + predicted.shape[1]:
                continue
            frame, every = self._frame(name, part, queries, piece, row, step)
            first, k = -(-piece.start // every), step - piece.step
            at = slice(first * every - piece.start, None, every)
            values = predicted[row, k, at, 0].float().cpu().numpy()[: max(len(frame.predicted) - first, 0)]
            into, asked = slice(first, first + len(values)), piece.queries
            coords = asked.coords[row, k, at][: len(values)].cpu()
            frame.predicted[into] = values
            frame.truth[into] = asked.values[name][row, k, at, 0][: len(values)].float().cpu().numpy()
            frame.coords[into] = (coords if asked.scale is None else asked.scale.to_source(coords)).numpy()

    def _wanted(self, steps: int) -> list[int]:
        if self.steps is None:
            return sorted({0, steps // 2, steps - 1})
        return sorted({s % steps for s in self.steps if -steps <= s < steps})

    def _frame(
        self, name: str, part: QueryBatch, queries: QuerySet, piece: Piece, row: int, step: int
    ) -> tuple[KeptFrame, int]:
        """The frame of a step, and of how many points one is kept."""
        frames, grid = self.frames.setdefault(name, {}), queries.grid_shape
        count = piece.columns if queries.mask is None else int(queries.mask[row, step].sum())
        every = 1 if grid is not None else max(1, -(-count // self.most))
        if step not in frames:
            channels = piece.values[name].shape[-1]
            dt = part.dt[row, step] if part.dt.dim() == 2 else part.dt[row]
            numbers = np.full(-(-count // every), np.nan, np.float32)
            coords = np.full((len(numbers), queries.coords.shape[-1]), np.nan)
            frames[step] = KeptFrame(coords, numbers, numbers.copy(), grid, float(part.time[row] + dt), channels)
        return frames[step], every
