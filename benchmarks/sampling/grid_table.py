"""Errors by batch size and ratio: `python benchmarks/sampling/grid_table.py RUNS/budget.json --batch 4`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

WAY = re.compile(r"\w+ (?P<ratio>[\d.]+)(?:, batch (?P<batch>\d+))?")
app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    table: Annotated[Path, typer.Argument(help="budget.json of a comparison.")],
    batch: Annotated[int, typer.Option(min=1, help="The configuration's batch size, of ways that name none.")],
) -> None:
    print(markdown(json.loads(table.read_text())["rows"], batch), end="")


def markdown(rows: Sequence[dict[str, Any]], batch: int) -> str:
    """A row for each batch size, a column for each ratio, the least error in bold; dense training is left out."""
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        if (way := WAY.fullmatch(row["name"])) is not None:
            found.setdefault(int(way["batch"] or batch), {})[way["ratio"]] = row["nrmse"]
    ratios = sorted({ratio for of in found.values() for ratio in of}, key=float)
    best = min(error for of in found.values() for error in of.values())

    def cell(error: float | None) -> str:
        if error is None:
            return "–"
        return f"**{error:.4f}**" if error == best else f"{error:.4f}"

    lines = [["batch", *(f"ratio {ratio}" for ratio in ratios)], ["---"] * (1 + len(ratios))]
    lines += [[str(size), *(cell(found[size].get(ratio)) for ratio in ratios)] for size in sorted(found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    app()
