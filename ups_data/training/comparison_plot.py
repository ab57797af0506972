"""Error against steps, time and points seen, for every way of choosing points."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ups_data.training.comparison import DENSE
from ups_data.training.comparison_table import Curve, curves_of

AXES = ("steps", "seconds of training", "target points seen")


def plot_comparison(records: Sequence[dict[str, Any]], out: str | Path) -> None:
    """A row of panels for each ratio, dense training in all of them; bands span the seeds."""
    curves = curves_of(records)
    sampled = [name.rsplit(" ", 1) for name in curves if not name.startswith(DENSE)]
    modes = list(dict.fromkeys(mode for mode, _ in sampled))
    ratios = list(dict.fromkeys(ratio for _, ratio in sampled)) or [""]
    colours = dict(zip(modes, colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]
    figure = Figure(figsize=(11, 2.5 * len(ratios)), layout="constrained")
    panels = figure.subplots(len(ratios), len(AXES), squeeze=False, sharey=True)
    for ratio, row in zip(ratios, panels, strict=True):
        for number, (ax, label) in enumerate(zip(row, AXES, strict=True)):
            for name in (n for n in curves if n.startswith(DENSE)):
                _draw(ax, curves[name], number, name, "black" if name == DENSE else "grey")
            for mode in modes:
                if f"{mode} {ratio}" in curves:
                    _draw(ax, curves[f"{mode} {ratio}"], number, mode, colours.get(mode, "grey"))
            ax.set_yscale("log")
            ax.set_xscale("linear" if number == 0 else "log")
            ax.grid(alpha=0.3, which="both", linewidth=0.5)
            if row is panels[-1]:
                ax.set_xlabel(label)
        row[0].set_ylabel("validation nRMSE")
        row[0].set_title(f"ratio {ratio.replace(':', ' ')}", loc="left", fontweight="bold")
        row[0].legend(fontsize=7)
    figure.savefig(out, dpi=80)


def _draw(ax: Axes, curves: Sequence[Curve], number: int, label: str, colour: Any) -> None:
    """The mean over seeds of one curve, and the band that they span."""
    found = np.array(curves)  # (seeds, validations, 4)
    x, y = found[..., number].mean(0), found[..., 3]
    ax.plot(x, y.mean(0), color=colour, label=label, linewidth=1.4, marker=".", markersize=4)
    if len(curves) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.15, linewidth=0)
