"""Error against steps, time and points seen, for every way of choosing points."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from benchmarks.sampling.comparison import DENSE
from benchmarks.sampling.comparison_table import Curve, curves_of
from benchmarks.sampling.comparison_times import Costs

AXES = ("steps", "seconds of training", "target points seen")
COLOURS = 64  # enough for lines and bands, and a quarter of the bytes


def plot_comparison(records: Sequence[dict[str, Any]], costs: Costs, out: str | Path) -> None:
    """A PNG: a row of panels for each ratio, dense training in all of them; bands span the seeds."""
    curves = curves_of(records, costs)
    sampled = [name.rsplit(" ", 1) for name in curves if not name.startswith(DENSE)]
    modes = list(dict.fromkeys(mode for mode, _ in sampled))
    ratios = list(dict.fromkeys(ratio for _, ratio in sampled)) or [""]
    colours = dict(zip(modes, colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]
    figure = Figure(figsize=(11, 2.2 * len(ratios) + 0.6), layout="constrained")
    panels = figure.subplots(len(ratios), len(AXES), squeeze=False, sharey=True, sharex="col")
    labelled: dict[str, Any] = {}
    for ratio, row in zip(ratios, panels, strict=True):
        for number, ax in enumerate(row):
            for name in (n for n in curves if n.startswith(DENSE)):
                labelled[name] = _draw(ax, curves[name], number, name, "black" if name == DENSE else "grey")
            for mode in modes:
                if f"{mode} {ratio}" in curves:
                    labelled[mode] = _draw(ax, curves[f"{mode} {ratio}"], number, mode, colours.get(mode, "grey"))
            ax.set_yscale("log")
            ax.set_xscale("linear" if number == 0 else "log")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:.2g}")
            ax.xaxis.set_minor_formatter("")
            ax.xaxis.set_major_formatter("{x:,g}")
            ax.tick_params(axis="y", which="minor", labelsize=7)
            ax.grid(alpha=0.3, which="both", linewidth=0.5)
        row[0].set_ylabel("validation nRMSE")
        row[0].set_title(f"ratio {ratio.replace(':', ' ')}", loc="left", fontweight="bold")
    for ax, label in zip(panels[-1], AXES, strict=True):
        ax.set_xlabel(label)
    figure.legend(labelled.values(), labelled.keys(), loc="outside upper center", ncols=4, frameon=False)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=80)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(out, format="PNG", optimize=True)


def _draw(ax: Axes, curves: Sequence[Curve], number: int, label: str, colour: Any) -> Line2D:
    """The mean over seeds of one curve, and the band that they span."""
    found = np.array(curves)  # (seeds, validations, 4)
    x, y = found[..., number].mean(0), found[..., 3]
    marker, size = ("x", 7) if len(x) == 1 else (".", 4)
    (line,) = ax.plot(x, y.mean(0), color=colour, label=label, linewidth=1.4, marker=marker, markersize=size)
    if len(curves) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.15, linewidth=0)
    return line
