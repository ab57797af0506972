"""A batch's predictions and baselines against its targets, chunk by chunk."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ups_data.batch import QueryBatch, QuerySet
from ups_data.loader.stretches.stretches import SampleFrames
from ups_data.schema import Manifest
from ups_data.training.evaluation.kept import Kept
from ups_data.training.evaluation.metrics import BY_VOLUME, FrameSums, IntegralSums
from ups_data.training.evaluation.sizes import Sizes
from ups_data.training.evaluation.spectra import shell_errors
from ups_data.training.evaluation.tally import INTEGRAL, Tally, by_volume
from ups_data.training.evaluation.validation import at_points
from ups_data.training.forecast.forecast import Forecast, Piece
from ups_data.training.forecast.parts import SetName, sets_of, stepped


class Comparison:
    """Adds batches to a tally.

    Args:
        tally: of the predictors "model", "mean" and, if `persists`, "persistence".
        targets: names of the predicted fields.
        sizes: of the points' cells.
        means: field → what the mean baseline predicts, `(C,)`.
        grid: the shape of grids of which all points count, whose errors have a spectrum; None: there is none.
        fills: set of points → what its fields hold at points that do not count; of sets with such points.
        kept: receives frames for pictures.
    """

    def __init__(
        self,
        tally: Tally,
        manifest: Manifest,
        targets: list[str],
        sizes: Sizes,
        means: Mapping[str, Tensor],
        grid: tuple[int, ...] | None,
        fills: Mapping[SetName, float],
        kept: Kept | None,
    ) -> None:
        self._tally, self._sizes, self._means, self._fills, self._kept = tally, sizes, means, fills, kept
        self._targets = {name: manifest.field(name) for name in targets}
        self._grid = grid

    def add(self, batch: QueryBatch, forecast: Forecast, read: Mapping[SetName, SampleFrames] | None = None) -> None:
        """Predict a batch and compare every point of every step with the targets.

        Args:
            read: see `Forecast`.
        """
        several = batch.dt.dim() == 2
        queries = {name: stepped(part.target_queries, several) for name, part in sets_of(batch).items()}
        frames = {n: _Frames(self, n, queries[n], of) for n, of in sets_of(batch).items() if forecast.channels.get(n)}
        for piece in forecast(batch, read):
            frames[piece.set_name].add(piece)
        points = 0
        for of_set in frames.values():
            of_set.finish(batch.valid)
            points += of_set.points(batch.valid)
        dt = batch.dt if several else batch.dt[:, None]
        self._tally.add_samples(dt, points, batch.valid)


class _Frames:
    """The sums of one set of points of a batch, step by step and field by field.

    Args:
        queries: with a step axis; the grid's points, or of how many steps and which fields they are.
    """

    def __init__(self, whole: Comparison, set_name: SetName, queries: QuerySet, part: QueryBatch) -> None:
        self._whole, self._set_name, self._queries, self._part = whole, set_name, queries, part
        self._names = [n for n, s in whole._targets.items() if n in queries.values]
        lead, device = tuple(queries.index.shape[:2]), queries.coords.device
        predictors = whole._tally.predictors
        self._sums = {(p, n): FrameSums(lead, whole._means[n]) for p in predictors for n in self._names}
        sized = whole._sizes.known(set_name)
        self._by_volume = {key: FrameSums(lead, whole._means[key[1]]) for key in self._sums if sized}
        self._integrals = {
            n: IntegralSums(lead, queries.values[n].shape[-1], device)
            for n in self._names
            if whole._sizes.integrates(set_name)
        }
        self._full = (
            {n: torch.empty(queries.values[n].shape, device=device) for n in self._names}
            if whole._grid is not None and queries.grid_shape is not None and queries.mask is None
            else {}
        )

    def add(self, piece: Piece) -> None:
        sizes, mask = self._whole._sizes.at(self._set_name, piece.queries), piece.queries.mask
        for name, predicted in piece.values.items():
            steps = slice(piece.step, piece.step + predicted.shape[1])
            target = piece.queries.values[name].double()
            for predictor in self._whole._tally.predictors:
                values = predicted
                if predictor == "mean":
                    values = self._whole._means[name].expand(target.shape)
                elif predictor == "persistence":
                    values = self._still(name, piece).expand(target.shape)
                self._sums[predictor, name].add(values, target, mask, steps)
                if sizes is not None:
                    self._by_volume[predictor, name].add(values, target, mask, steps, sizes)
            if sizes is not None and name in self._integrals:
                self._integrals[name].add(steps, predicted, target, sizes, mask)
            if name in self._full:
                self._full[name][:, steps, piece.start : piece.start + predicted.shape[2]] = predicted
            if self._whole._kept is not None:
                self._whole._kept.take(name, self._part, self._queries, piece, predicted)

    def finish(self, valid: Tensor | None) -> None:
        tally = self._whole._tally
        for (predictor, name), sums in self._sums.items():
            tally.add(predictor, name, sums.measures(), valid)
        for (predictor, name), sums in self._by_volume.items():
            measures = sums.measures()
            tally.add(predictor, name, {by_volume(measure): measures[measure] for measure in BY_VOLUME}, valid)
        for name, integrals in self._integrals.items():
            tally.add("model", name, {INTEGRAL: integrals.error()}, valid)
        if self._whole._grid is not None:
            for name, predicted in self._full.items():
                shells = shell_errors(predicted, self._queries.values[name], self._whole._grid)
                tally.add_shells(name, shells, valid)

    def points(self, valid: Tensor | None) -> int:
        """How many were predicted, of samples that count."""
        each = self._sums["model", self._names[0]].count.sum((1, 2))
        return int((each if valid is None else each[valid.to(each.device)]).sum())

    def _still(self, name: str, piece: Piece) -> Tensor:
        """The (last) input frame at some points, `(B, 1, Q, C)`, or `(B, k, Q, C)` where some points do not count."""
        if piece.still is not None:
            return piece.still[name][:, None]
        at = slice(piece.start, piece.start + piece.queries.index.shape[-1])
        if self._part.input_queries is not None:
            if self._set_name in self._whole._fills:
                return at_points(self._whole_input(name), piece.queries.index)
            return self._part.input_queries.values[name][:, None, at]
        frame = self._part.inputs.fields[name]
        frame = frame[:, -1] if frame.dim() == 4 else frame
        if self._part.inputs.mask is not None:
            return at_points(frame, piece.queries.index)
        return frame[:, None, at]

    def _whole_input(self, name: str) -> Tensor:
        """`(B, N, C)`, the input frame with the fill value at points that do not count there: the target's are others
        if masks move."""
        seen = self._part.input_queries
        assert seen is not None
        values, points = seen.values[name], 1 + int(max(seen.index.max(), self._queries.index.max()))
        index, fill = seen.index, self._whole._fills[self._set_name]
        if seen.mask is not None:  # rows are filled up with their first point
            index = torch.where(seen.mask, index, index[:, :1])
            values = torch.where(seen.mask[..., None], values, values[:, :1])
        whole = values.new_full((len(values), points, values.shape[-1]), fill)
        return whole.scatter(1, index[..., None].expand_as(values), values)
