"""Error against time, for runs of several lengths: `python benchmarks/sampling/budget_plot.py RUNS/*/budget.json`.

Every point of a curve is a run of its own, whose learning rate has fallen by its end. The runs of a folder `NAME_long`
continue the curves of `NAME`.
"""

import itertools
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

LONG = "_long"
COLOURS = 64  # enough for lines, and a quarter of the bytes
app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    tables: Annotated[list[Path], typer.Argument(help="budget.json of comparisons with --curves.")],
    out: Annotated[Path, typer.Option(help="The picture, PNG.")] = Path("curves.png"),
) -> None:
    plot_lengths(tables, out)


def plot_lengths(tables: Sequence[Path], out: Path) -> None:
    """A panel for each set, named after its folder."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for path in tables:
        rows_of = sets.setdefault(path.parent.name.removesuffix(LONG), [])
        rows_of[:] = joined(rows_of, json.loads(path.read_text())["rows"])
    columns = min(3, len(sets))
    rows = -(-len(sets) // columns)
    figure = Figure(figsize=(4.2 * columns + 0.4, 3.3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for (name, of_set), ax in zip(sets.items(), panels, strict=False):
        _draw(ax, of_set, name.replace("_", " "))
    for ax in panels[len(sets) :]:
        ax.set_visible(False)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=90)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(out, format="PNG", optimize=True)


def joined(shorter: Sequence[dict[str, Any]], longer: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way's curve up to the longest runs, whose errors are those of single seeds."""
    found = {row["name"]: row for row in shorter}
    for row in longer:
        before = found.get(row["name"], row)
        curve = before["curve"] | row["curve"]
        found[row["name"]] = row | {"curve": {key: curve[key] for key in sorted(curve, key=float)}}
    return list(found.values())


def _draw(ax: Axes, rows: Sequence[dict[str, Any]], title: str) -> None:
    few, dense = itertools.count(), itertools.cycle(("-", "--", ":"))
    for row in rows:
        seconds = [float(length) for length in row["curve"]]
        is_dense = row["name"].startswith("dense")
        colour, style = ("black", next(dense)) if is_dense else (f"C{next(few)}", "-")
        ax.plot(seconds, list(row["curve"].values()), f".{style}", color=colour, label=row["name"], linewidth=1.4)
        ax.plot(seconds[-1:] * len(row["errors"]), row["errors"], "_", color=colour, markersize=8)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:.2g}")
    ax.tick_params(axis="y", which="minor", labelsize=7)
    ax.grid(alpha=0.3, which="both", linewidth=0.5)
    ax.set_title(title, loc="left", fontweight="bold")
    ax.set_xlabel("seconds of training")
    ax.set_ylabel("validation nRMSE")
    ax.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    app()
