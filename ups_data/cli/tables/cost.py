"""What blocks cost: the bytes of a sample, a suggestion, the bytes on disk."""

from collections.abc import Iterable

from ups_data.cli.tables.sheet import Sheet
from ups_data.conversion.suggest import Cost, Suggestion
from ups_data.conversion.weigh import Weight

# Rows of the table of a suggestion, around the one to take.
SHOWN = 4


def estimate(cost: Cost, ratio: float) -> str:
    """Bytes of a sample's parts, before compression."""
    parts = f"{cost.blocks} blocks of {cost.block_points:,} points" if cost.blocks > 1 else "whole frames"
    return (
        f"{parts}, chunks of {cost.chunk_rows} frame(s); bytes per sample: a dense input {cost.frame / 1e3:,.1f} kB; "
        f"at ratio {ratio:g} the {cost.queries:,} query points of a frame take {cost.drawn} block(s), "
        f"{cost.read / 1e3:,.1f} kB read for {cost.used / 1e3:,.1f} kB used"
    )


def suggestion_table(suggestion: Suggestion, ratio: float) -> Sheet:
    """The numbers around the chosen one."""
    headers = ("--blocks", "points", "frames per chunk", "chunk kB", "drawn", "read kB", "used kB", "read/used")
    table = Sheet(*headers, title=f"query points of a frame at ratio {ratio:g}")
    row = suggestion.costs.index(suggestion.chosen)
    for cost in suggestion.costs[max(0, row - SHOWN) : row + SHOWN + 1]:
        numbers = (cost.chunk_bytes / 1e3, cost.drawn, cost.read / 1e3, cost.used / 1e3, cost.read / cost.used)
        cells = [f"{n:,.2f}" if isinstance(n, float) else f"{n:,}" for n in numbers]
        style = "bold" if cost is suggestion.chosen else None
        table.add_row(cost.blocks, f"{cost.block_points:,}", f"{cost.chunk_rows:,}", *cells, style=style)
    return table


def weights_table(weights: Iterable[Weight]) -> Sheet:
    """Bytes on disk by codec and blocks."""
    table = Sheet("codec", "--blocks", "MB", "of whole frames", title="bytes on disk", text=("codec",))
    for weight in weights:
        table.add_row(weight.codec, weight.blocks, f"{weight.bytes / 1e6:.3f}", f"{weight.ratio:.3f}")
    return table
