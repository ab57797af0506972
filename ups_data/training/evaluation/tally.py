"""Averages of measures over the frames of a split, step by step, over all ranks."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ups_data.engine.ranks import rank_and_world, summed
from ups_data.training.evaluation.metrics import BY_VOLUME, MEASURES

INTEGRAL = "integral"


def by_volume(measure: str) -> str:
    """What a measure is called that is weighted by the sizes of cells."""
    return f"{measure}_by_volume"


SIZED = (INTEGRAL, *map(by_volume, BY_VOLUME))  # what only points with known sizes have
KINDS = (*(name for name in MEASURES if name != "max_error"), *SIZED)  # what is averaged; the largest error is not


class Tally:
    """Measures of frames, added up.

    Args:
        predictors: whose they are: the model, the baselines.
        fields: names.
        steps: K, predicted frames of a sample.
    """

    def __init__(self, predictors: Sequence[str], fields: Sequence[str], steps: int) -> None:
        self.predictors, self.fields, self.steps = tuple(predictors), tuple(fields), steps
        shape = (len(predictors), len(fields), len(KINDS), steps)
        self._sum, self._count = np.zeros(shape), np.zeros(shape)
        self._most = np.zeros((len(predictors), len(fields), steps))
        self._spoilt = np.zeros((len(predictors), len(fields), steps))
        self._dt = np.zeros(steps)
        self.samples, self.points = 0, 0
        self._shells: dict[str, np.ndarray] = {}

    def add(self, predictor: str, field: str, measures: Mapping[str, Tensor], valid: Tensor | None) -> None:
        """Measures of a batch's frames, name → `(B, K)`; those of samples that only fill the batch do not count."""
        p, f = self.predictors.index(predictor), self.fields.index(field)
        for name, values in measures.items():
            each = (values if valid is None else values[valid]).cpu().numpy()
            if name == "max_error":
                whole = np.isfinite(each)
                self._spoilt[p, f] += (~whole).sum(0)
                self._most[p, f] = np.maximum(self._most[p, f], np.where(whole, each, 0.0).max(0, initial=0.0))
                continue
            known, kind = np.isfinite(each), KINDS.index(name)
            self._sum[p, f, kind] += np.where(known, each, 0.0).sum(0)
            self._count[p, f, kind] += known.sum(0)

    def add_samples(self, dt: Tensor, points: int, valid: Tensor | None) -> None:
        """A batch's times from the input frame to each target, `(B, K)`, and how many points were predicted."""
        dt = dt if valid is None else dt[valid]
        self._dt += dt.double().sum(0).cpu().numpy()
        self.samples, self.points = self.samples + len(dt), self.points + points

    def add_shells(self, field: str, shells: Tensor, valid: Tensor | None) -> None:
        """Squared amplitudes of the error, `(B, K, C, shells)`."""
        each = (shells if valid is None else shells[valid]).sum(0).cpu().numpy()
        self._shells[field] = self._shells.get(field, 0.0) + each

    def merge(self) -> None:
        """Add up the tallies of all ranks, every one of which calls this."""
        rank, world = rank_and_world()
        counts = np.array([self.samples, self.points], float)
        parts = [self._sum, self._count, self._spoilt, self._dt, counts, *self._shells.values()]
        total = summed(np.concatenate([part.ravel() for part in parts]))
        places = np.cumsum([part.size for part in parts])[:-1]
        self._sum, self._count, self._spoilt, self._dt, counts, *shells = (
            part.reshape(like.shape) for part, like in zip(np.split(total, places), parts, strict=True)
        )
        self.samples, self.points = round(counts[0]), round(counts[1])
        self._shells = dict(zip(self._shells, shells, strict=True))
        of_ranks = np.zeros((world, *self._most.shape))
        of_ranks[rank] = self._most
        self._most = summed(of_ranks.reshape(-1)).reshape(of_ranks.shape).max(0)

    def dt(self) -> list[float]:
        """The mean time from the input frame to each target."""
        return [float(t) for t in self._dt / max(self.samples, 1)]

    def shells(self, field: str, step: int | None = None) -> Tensor | None:
        """Mean squared amplitudes of a field's error at a step, None: of all steps: `(C, shells)`."""
        if field not in self._shells or not self.samples:
            return None
        mean = self._shells[field] / self.samples
        return torch.from_numpy(mean.mean(0) if step is None else mean[step])

    def measures(self, predictor: str, field: str, step: int | None = None) -> dict[str, float | None]:
        """Name → mean over frames of a field at a step, None: at all steps; the maximum of the largest errors.

        A measure that no frame has is None; `integral` and measures by volume are only there if sizes are known. If the
        errors of some frames are not finite, as where a rollout blows up, every measure is None, and `nonfinite` counts
        them.
        """
        p, f = self.predictors.index(predictor), self.fields.index(field)
        at = slice(None) if step is None else slice(step, step + 1)
        found: dict[str, float | None] = {}
        for kind, name in enumerate(KINDS):
            total, count = self._sum[p, f, kind, at].sum(), self._count[p, f, kind, at].sum()
            if count or name not in SIZED:
                found[name] = float(total / count) if count else None
        if spoilt := int(self._spoilt[p, f, at].sum()):
            return dict.fromkeys([*found, "max_error"], None) | {"nonfinite": spoilt}
        return found | {"max_error": float(self._most[p, f, at].max())}

    def overall(self, predictor: str, fields: Iterable[str], step: int | None = None) -> dict[str, float | None]:
        """The mean over fields of every measure, and the largest error of any; by volume if all fields have that."""
        each = [self.measures(predictor, field, step) for field in fields]
        sized = [name for name in map(by_volume, BY_VOLUME) if all(name in of_field for of_field in each)]
        found: dict[str, float | None] = {}
        for name in (*MEASURES, *sized):
            known = [v for of_field in each if (v := of_field[name]) is not None]
            known = [] if any("nonfinite" in of_field for of_field in each) else known
            found[name] = (max(known) if name == "max_error" else sum(known) / len(known)) if known else None
        return found
