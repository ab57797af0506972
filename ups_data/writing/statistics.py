"""One-pass moments per channel, merged without cancellation."""

from typing import Any

import numpy as np

from ups_data import _native as built
from ups_data.schema import FieldStatistics, Summary

MOST_ROWS = 2**20  # that are looked at together, in float64


class Moments:
    """Count, mean, variance and range per channel of everything given to `update`.

    The merge of two partial results is Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979). Values that are not finite are counted and left out.
    """

    def __init__(self, channels: int) -> None:
        self.count = np.zeros(channels, np.int64)
        self.mean = np.zeros(channels)
        self.squares = np.zeros(channels)  # sum of squared deviations from the mean
        self.min = np.full(channels, np.inf)
        self.max = np.full(channels, -np.inf)
        self.nonfinite = 0

    def update(self, values: np.ndarray, counted: np.ndarray | None = None, *, less: np.ndarray | None = None) -> None:
        """Take in `(..., C)` values.

        Args:
            counted: bool, one for each value of a channel: which of them count; None: all.
            less: `(..., C)` of the same dtype: what is taken in is the values less these.
        """
        x = values.reshape(-1, values.shape[-1])
        y = None if less is None else less.reshape(x.shape)
        for start in range(0, len(x), MOST_ROWS):
            piece = slice(start, start + MOST_ROWS)
            which = piece if counted is None else start + np.flatnonzero(counted.reshape(-1)[piece])
            self._take(x[which], None if y is None else y[which])

    def _take(self, x: np.ndarray, less: np.ndarray | None) -> None:
        """Take in `(n, C)` values."""
        found = _finite_moments(x, less)
        if found is not None:
            self._merge(np.full(x.shape[1], len(x)), *found)
            return
        x = x.astype(np.float64)
        if less is not None:
            x -= less
        finite = np.isfinite(x)
        count = finite.sum(0)
        self.nonfinite += int(finite.size - count.sum())
        low, high = x.min(0, where=finite, initial=np.inf), x.max(0, where=finite, initial=-np.inf)
        mean = x.sum(0, where=finite) / np.maximum(count, 1)
        x -= mean
        x[~finite] = 0.0
        self._merge(count, mean, np.einsum("nc,nc->c", x, x), low, high)

    def merge(self, other: "Moments") -> None:
        """Take in what another has taken in. The result's last bits depend on the order of merges."""
        self.nonfinite += other.nonfinite
        self._merge(other.count, other.mean, other.squares, other.min, other.max)

    def _merge(
        self, count: np.ndarray, mean: np.ndarray, squares: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> None:
        total = np.maximum(self.count + count, 1)
        delta = mean - self.mean
        self.squares += squares + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count += count
        self.min, self.max = np.minimum(self.min, low), np.maximum(self.max, high)

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, every bit kept."""
        arrays = {name: getattr(self, name).tolist() for name in ("count", "mean", "squares", "min", "max")}
        return {**arrays, "nonfinite": self.nonfinite}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Moments":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        moments = cls(len(given["count"]))
        if not all(isinstance(n, int) and 0 <= n < 2**63 for n in (*given["count"], given["nonfinite"])):
            raise ValueError(f"counts {given['count']}, nonfinite {given['nonfinite']}")
        moments.count = np.array(given["count"], np.int64)
        for name in ("mean", "squares", "min", "max"):
            values = np.array(given[name], np.float64)
            if values.shape != moments.count.shape:
                raise ValueError(f"{name} has {values.shape} numbers, count {moments.count.shape}")
            setattr(moments, name, values)
        moments.nonfinite = int(given["nonfinite"])
        return moments

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.count)

    @property
    def std(self) -> np.ndarray:
        """`(C,)`, the population standard deviation of each channel."""
        return np.sqrt(self.squares / np.maximum(self.count, 1))

    @property
    def rms(self) -> np.ndarray:
        """`(C,)`, the root mean square of each channel."""
        return np.sqrt(self.squares / np.maximum(self.count, 1) + self.mean**2)

    def summaries(self) -> list[Summary]:
        """One for each channel; every channel must have been given a value."""
        columns = (self.mean, self.std, self.min, self.max)
        return [Summary(mean=m, std=s, min=low, max=high) for m, s, low, high in zip(*columns, strict=True)]


def _finite_moments(x: np.ndarray, less: np.ndarray | None) -> np.ndarray | None:
    """Mean, sum of squared deviations, least and greatest value of each channel, `(4, C)` float64; None: some are not
    finite, or the compiled loops are not there for them. Numpy makes several arrays of the size of `x` for the same."""
    native = built.native
    if native is None or x.dtype not in (np.float32, np.float64) or not 1 <= x.shape[1] <= native.MOST_CHANNELS:
        return None
    out = np.zeros((4, x.shape[1]))
    out[2], out[3] = np.inf, -np.inf
    return out if native.moments(_bytes(x), None if less is None else _bytes(less), x.itemsize == 8, out) else None


def _bytes(x: np.ndarray) -> np.ndarray:
    return np.require(x, requirements=["C", "A"]).reshape(-1).view(np.uint8)


class FieldMoments:
    """Moments of a field and of its difference from step to step."""

    def __init__(self, channels: int) -> None:
        self.values = Moments(channels)
        self.deltas = Moments(channels)
        self._previous: np.ndarray | None = None

    def start_trajectory(self) -> None:
        """Begin a trajectory: its first frame is not compared with the frame before."""
        self._previous = None

    def update(self, frames: np.ndarray, counted: np.ndarray | None = None) -> None:
        """Take in the next `(n, ..., C)` frames of the trajectory.

        Args:
            counted: `(n, N)` bool, which of their points count; None: all. A difference counts where both points do.
        """
        self.values.update(frames, counted)
        if counted is not None:
            frames = frames.astype(np.float64)
            frames.reshape(len(frames), -1, frames.shape[-1])[~counted] = np.nan  # and so are differences with these
        if self._previous is not None:
            self.deltas.update(frames[:1].astype(self._previous.dtype, copy=False), less=self._previous)
        if len(frames) > 1:
            self.deltas.update(frames[1:], less=frames[:-1])
        self._previous = frames[-1:].copy()

    def merge(self, other: "FieldMoments") -> None:
        """Take in the trajectories that another has taken in."""
        self.values.merge(other.values)
        self.deltas.merge(other.deltas)

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, between trajectories."""
        return {"values": self.values.to_json(), "deltas": self.deltas.to_json()}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "FieldMoments":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        moments = cls(0)
        moments.values, moments.deltas = Moments.from_json(given["values"]), Moments.from_json(given["deltas"])
        return moments

    def statistics(self) -> FieldStatistics:
        """What was taken in so far, as the manifest holds it."""
        v, d = self.values, self.deltas
        stepped = bool(d.count.any())
        return FieldStatistics(
            count=int(v.count.max()),
            mean=v.mean.tolist(),
            std=v.std.tolist(),
            rms=v.rms.tolist(),
            min=v.min.tolist(),
            max=v.max.tolist(),
            nonfinite=v.nonfinite,
            counts=v.count.tolist() if (v.count != v.count.max()).any() else None,
            delta_counts=d.count.tolist() if stepped else None,
            delta_mean=d.mean.tolist() if stepped else None,
            delta_std=d.std.tolist() if stepped else None,
            delta_rms=d.rms.tolist() if stepped else None,
        )
