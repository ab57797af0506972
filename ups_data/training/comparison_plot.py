"""Error against steps, time and points seen, for every way of choosing points."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ups_data.training.comparison import DENSE
from ups_data.training.comparison_table import points_of

AXES = ("steps", "seconds of training", "target points seen")


def plot_comparison(records: Sequence[dict[str, Any]], out: str | Path) -> None:
    """A row of panels for each ratio, dense training in black in all of them; bands span the seeds."""
    names = list(dict.fromkeys(r["name"] for r in records if not r["name"].startswith(DENSE)))
    lengths = list(dict.fromkeys(r["name"] for r in records if r["name"].startswith(DENSE)))
    modes = list(dict.fromkeys(name.rsplit(" ", 1)[0] for name in names))
    ratios = list(dict.fromkeys(name.rsplit(" ", 1)[1] for name in names)) or ["1"]
    colours = dict(zip(modes, colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]
    figure = Figure(figsize=(13, 3.4 * len(ratios)), layout="constrained")
    panels = figure.subplots(len(ratios), len(AXES), squeeze=False, sharey=True)
    for ratio, row in zip(ratios, panels, strict=True):
        for number, (ax, label) in enumerate(zip(row, AXES, strict=True)):
            for name in lengths:
                _draw(ax, [r for r in records if r["name"] == name], number, name, "black" if name == DENSE else "grey")
            for mode in modes:
                runs = [r for r in records if r["name"] == f"{mode} {ratio}"]
                _draw(ax, runs, number, mode, colours.get(mode, "grey"))
            ax.set_yscale("log")
            ax.set_xscale("linear" if number == 0 else "log")
            ax.grid(alpha=0.3, which="both", linewidth=0.5)
            ax.set_xlabel(label)
        row[0].set_ylabel("nRMSE, dense validation grid")
        row[0].set_title(f"ratio {ratio.replace(':', ' ')}", loc="left", fontweight="bold")
        row[0].legend(fontsize=8)
    figure.savefig(out, dpi=110)


def _draw(ax: Axes, runs: Sequence[dict[str, Any]], number: int, label: str, colour: Any) -> None:
    """The mean over seeds of one curve, and the band that they span."""
    if not runs:
        return
    curves = np.array([points_of(run) for run in runs])  # (seeds, validations, 4)
    x, y = curves[..., number].mean(0), curves[..., 3]
    ax.plot(x, y.mean(0), color=colour, label=label, linewidth=1.6, marker=".", markersize=4)
    if len(runs) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.15, linewidth=0)
