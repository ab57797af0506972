"""How many points of how many samples: what the measured noise and costs say pays best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.training.noise.gradients import GradientNoise, Within
from ups_data.training.noise.measure import Noise

ALIKE = 0.95  # what is worth as much of the best is as good, as far as can be measured
LOST = ", the mean gradient being lost in the noise of {} samples: more of them tell more about the batch size"


@dataclass(frozen=True)
class Advice:
    """A batch size, queries of a sample, and a mode.

    Attributes:
        gain: progress per second ÷ that of the present setting.
        reason: in words.
    """

    batch_size: int
    queries: int
    ratio: float
    mode: str
    gain: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))


def advise(
    noise: Noise,
    *,
    batch_size: int,
    ratio: float,
    mode: str,
    memory: float | None = None,
    sizes: Sequence[int] | None = None,
    ranks: int = 1,
    parts: int = 1,
    against: str = "the present setting",
) -> Advice:
    """A setting that makes most progress per second.

    A step along a gradient G with noise of variance V is worth 1 / (1 + V / |G|²) of one without noise (S. McCandlish
    et al., "An Empirical Model of Large-Batch Training", 2018, equation 2.7), and V = (σ_b² + σ_w²(Q)) / B. That is
    divided by the seconds of a step. All of it is of the gradient as Adam sees it (see `as_adam_sees`), which moves
    parameters with small gradients as far as others. |G|² below σ_b² ÷ the samples measured cannot be told from noise,
    and is taken for as much: late in a run it would ask for batches without end. Of settings within 5 % of the best,
    that of the nearest batch size is taken, since another one needs another learning rate.

    Args:
        batch_size, ratio, mode: the present setting.
        memory: bytes that a step may keep on a device (see `StepMemory`); None: as many as it likes.
        sizes: batch sizes to look at; None: powers of 2 and the present one.
        ranks: that share a batch; parts: in which each takes its share, one after another.
        against: the present setting, in words.

    Raises:
        UpsDataError: the present mode was not measured, or nothing fits into the memory.
    """
    gradient = noise.judged

    def fits(size: int, of_points: float) -> bool:
        return memory is None or noise.memory.step(size / ranks / parts, of_points * noise.points) <= memory

    now = _worth(noise, batch_size, ratio, mode, ranks)
    settings = [
        (_worth(noise, size, candidate, name, ranks), size, candidate, name)
        for name in gradient.within
        for candidate in (*gradient.within[name], 1.0)
        for size in (_sizes(batch_size, noise.split_samples) if sizes is None else sizes)
        if fits(size, candidate)
    ]
    if not settings:
        raise UpsDataError(
            f"no setting fits into the {(memory or 0) / 1e6:,.0f} MB that a step may take here: take a smaller "
            "model, or smaller --ratios"
        )
    most = max(setting[0] for setting in settings)
    alike = [setting for setting in settings if setting[0] >= ALIKE * most]
    best, size, candidate, name = min(alike, key=lambda s: (abs(np.log(s[1] / batch_size)), -s[0]))
    if best <= now and fits(batch_size, ratio):
        best, size, candidate, name = now, batch_size, ratio, mode
    return Advice(
        size,
        max(1, round(candidate * noise.points)),
        candidate,
        name,
        best / now,
        f"{_reason(noise, size, candidate, name, ranks)}; progress per second is {best / now:.2f} times that of "
        f"{against}",
    )


def variance_at(noise: GradientNoise, mode: str, ratio: float) -> float:
    """σ_w² of a mode at any ratio: between the ratios measured along a straight line of logarithms, 0 at ratio 1.

    Raises:
        UpsDataError: the mode was not measured.
    """
    if ratio >= 1:
        return 0.0
    if mode not in noise.within:
        raise UpsDataError(f"mode {mode!r} was not measured: measure it too, among {', '.join(noise.within)}")
    measured: dict[float, Within] = noise.within[mode]
    ratios = np.array(sorted(measured))
    # What is left of a draw's variance falls as (1 - ratio) / ratio does; the rest is interpolated.
    scaled = np.array([measured[r].variance * r / (1 - r) for r in ratios.tolist()])
    log = np.interp(np.log(ratio), np.log(ratios), np.log(np.maximum(scaled, 1e-300)))
    return float(np.exp(log) * (1 - ratio) / ratio)


def _worth(noise: Noise, batch_size: int, ratio: float, mode: str, ranks: int) -> float:
    """Progress per second."""
    gradient = noise.judged
    variance = (gradient.between + variance_at(gradient, mode, ratio)) / batch_size
    seconds = noise.costs.step(batch_size / ranks, ratio * noise.points)
    return 1 / (1 + variance / _signal(gradient)) / max(seconds, 1e-12)


def _signal(gradient: GradientNoise) -> float:
    return max(gradient.signal, gradient.between / gradient.samples, 1e-300)


def _sizes(batch_size: int, samples: int) -> list[int]:
    """Batch sizes to look at: powers of 2 up to a quarter of the samples, and the present one."""
    most = max(1, min(16 * batch_size, samples // 4))
    return sorted({size for k in range(12) if (size := 2**k) <= most} | {min(batch_size, max(1, samples))})


def _reason(noise: Noise, size: int, ratio: float, mode: str, ranks: int) -> str:
    drawn, between = variance_at(noise.judged, mode, ratio), noise.judged.between
    share = drawn / max(drawn + between, 1e-300)
    seconds = noise.costs.step(size / ranks, ratio * noise.points)
    lost = "" if noise.judged.signal >= _signal(noise.judged) else LOST.format(noise.judged.samples)
    of_queries = size / ranks * ratio * noise.points * noise.costs.per_query / max(seconds, 1e-12)
    return (
        f"with {ratio:g} of the points in mode {mode}, drawing them makes {share:.0%} of a step's noise, and "
        f"queries take {of_queries:.0%} of a step of {size} samples ({1000 * seconds:.1f} ms){lost}"
    )
