"""The order of the drawn points (`order="random"`): is every tenth of it a fair draw, and how even is the first one?

For each mode, of points on a grid and of a cloud that is dense in one corner:

- χ² over tiles of one random member of each tenth of each draw, against the tiles' inclusion probabilities: the least
  of the ten p-values. Of fair draws it is 0.07 in half of the rows, and below 0.001 in one of a hundred.
- The weighted means of a field over the first tenth and over the other nine, in standard errors from the dense mean.
- The standard deviation of the first tenth's weighted mean ÷ that of as many points drawn uniformly: below 1, the
  prefix tells more than random points.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from scipy import stats

from ups_data.points.blocks import grid_blocks, point_blocks
from ups_data.points.domain import Domain
from ups_data.points.tiles import tiles_in
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys

TILES = 64
MODES: dict[str, Any] = {
    "uniform": "uniform",
    "stratified": "stratified",
    "lattice": "lattice",
    "blocks": "blocks",
    "importance": "importance",
    "0.7 stratified + 0.3 importance": {"stratified": 0.7, "importance": 0.3},
    "0.5 uniform + 0.5 stratified": {"uniform": 0.5, "stratified": 0.5},
}

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    draws: Annotated[int, typer.Option(min=2_000, help="Of each mode.")] = 20_000,
    queries: Annotated[int, typer.Option(min=20, help="Points of a draw, of 4,096.")] = 320,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
) -> None:
    from ups_data.cli.tables.sheet import Sheet

    columns = ("points", "mode", "least p of χ²", "first tenth, s.e.", "others, s.e.", "deviation ÷ uniform")
    table = Sheet(*columns, title=f"{draws:,} draws of {queries} of 4,096 points", text=("points", "mode"))
    cases = [(name, mode) for name in ("grid", "cloud") for mode in MODES if (name, mode) != ("cloud", "lattice")]
    for name, mode in track(cases, "modes", console=Console(stderr=True), transient=True):
        table.add_row(name, mode, *row(domain_of(name), QuerySampling(**options(mode, queries)), draws, seed))
    Console().print(table)


def options(mode: str, queries: int) -> dict[str, Any]:
    """Of the sampling."""
    return {"num_queries": queries, "mode": MODES[mode], "order": "random"}


def domain_of(name: str) -> Domain:
    """4,096 points in 16 blocks."""
    if name == "grid":
        return Domain(4096, (64, 64), blocks=grid_blocks((64, 64), 16))
    coords = np.random.default_rng(0).random((4096, 2)) ** 3
    return Domain(4096, coords=coords, blocks=point_blocks(coords, block_points=256))


def row(domain: Domain, sampling: QuerySampling, draws: int, seed: int) -> tuple[str, ...]:
    """The figures of one mode."""
    index, weight = drawn(domain, sampling, draws, seed)
    x = np.arange(domain.num_points) if domain.coords is None else domain.coords[:, 0]
    values = np.cos(9 * x / x.max()) + x / x.max()
    parts = np.array_split(np.arange(index.shape[1]), 10)
    estimates = weight * values[index]
    first, others = estimates[:, parts[0]].mean(1), estimates[:, np.concatenate(parts[1:])].mean(1)
    away = [(e.mean() - values.mean()) / (e.std(ddof=1) / np.sqrt(draws)) for e in (first, others)]
    size, total = len(parts[0]), domain.num_points
    uniform = values.std() * np.sqrt((total - size) / ((total - 1) * size))
    least = min(p_values(domain, index, weight, parts, seed))
    return "< 0.001" if least < 1e-3 else f"{least:.3f}", *(f"{z:+.2f}" for z in away), f"{first.std() / uniform:.2f}"


def drawn(domain: Domain, sampling: QuerySampling, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights, `(draws, Q)`; tiles differ in their importance by up to sixteen times."""
    keys = sample_keys(seed, 0, np.arange(draws) // 100, np.arange(draws) % 100, Stream.TARGET_QUERIES)
    importance = np.linspace(0.25, 4, TILES)[np.random.default_rng(1).permutation(TILES)]
    index, weight = [], []
    for part in np.array_split(keys, -(-draws // 500)):
        rows = np.broadcast_to(importance, (len(part), TILES))
        draw = draw_queries(sampling, domain, part, 0, rows)
        index.append(draw.points)
        weight.append(np.ones(draw.shape, np.float32) if draw.weight is None else draw.weight)
    return np.concatenate(index), np.concatenate(weight)


def p_values(domain: Domain, index: np.ndarray, weight: np.ndarray, parts: list[np.ndarray], seed: int) -> list[float]:
    """Of each tenth."""
    tile, inclusion = tiles_in(domain, TILES).of_point, np.full(domain.num_points, np.nan)
    inclusion[index] = index.shape[1] / (domain.num_points * weight)
    expected = np.bincount(tile, weights=inclusion, minlength=TILES)
    random, found = np.random.default_rng(seed), []
    for part in parts:
        member = part[random.integers(len(part), size=len(index))]
        counted = np.bincount(tile[index[np.arange(len(index)), member]], minlength=TILES)
        found.append(float(stats.chisquare(counted, len(index) * expected / expected.sum()).pvalue))
    return found


if __name__ == "__main__":
    app()
