"""Which blocks, packs and shards suit a store of some latency and bandwidth: pure arithmetic, before compression.

A range of n bytes takes its share of the bandwidth, n / bandwidth, and of the requests that are under way at once,
latency / `IN_FLIGHT`: whatever it carries up to their product, it costs about the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ups_data.conversion.suggest import CLOSE, Cost, FrameSize, Suggestion, candidates, query_cost, summed
from ups_data.errors import UpsDataError

# Requests under way that a process keeps up: at 30 ms some 4,000 a second, as measured on two cores.
IN_FLIGHT = 128
# Ranges of this many bytes are long enough that the request is a small part of their cost, and short enough to be
# repeated when one of them fails or is slow.
SHORTEST, LONGEST = 256 * 1024, 1024**2
SHARD_STEP, LEAST_SHARD, MOST_SHARD = 256, 256, 1024  # MiB


@dataclass(frozen=True)
class StoreSuggestion:
    """What to convert with.

    Attributes:
        pack: whether fields and places lie side by side.
        shard_mb: of a shard, in MiB.
        suggestion: the numbers of blocks with what they cost so, and the one to take.
        seconds: that the query points of a frame take.
        seconds_apart: without packs, with the blocks that suit them best.
    """

    pack: bool
    shard_mb: int
    suggestion: Suggestion
    seconds: float
    seconds_apart: float

    @property
    def options(self) -> str:
        """As they are given to `ups-data convert`."""
        blocks = self.suggestion.chosen.blocks
        return " ".join([f"--blocks {blocks}", *(["--pack"] if self.pack else []), f"--shard-mb {self.shard_mb}"])


def suggest_for_store(sizes: Sequence[FrameSize], ratio: float, *, latency: float, bandwidth: float) -> StoreSuggestion:
    """The blocks, and whether to pack.

    Args:
        sizes: one for each set of points of a trajectory.
        ratio: queries ÷ points.
        latency: seconds before the first byte of an answer.
        bandwidth: bytes a second.

    Raises:
        UpsDataError: latency or bandwidth is not above 0.
    """
    if not (latency > 0 and bandwidth > 0):
        raise UpsDataError(f"latency {latency:g} s, bandwidth {bandwidth:g} bytes/s: give numbers above 0")

    def seconds(cost: Cost) -> float:
        return cost.read / bandwidth + cost.chunks * latency / IN_FLIGHT

    apart, packed = _chosen(sizes, ratio, seconds), _chosen([_packed(size) for size in sizes], ratio, seconds)
    several = any(len(size.field_bytes) + (size.place_bytes > 0) > 1 for size in sizes)
    pack = several and seconds(packed[1]) * CLOSE < seconds(apart[1])
    costs, chosen = packed if pack else apart
    steps = round(bandwidth / (SHARD_STEP * 1024**2))
    shard_mb = min(MOST_SHARD, max(LEAST_SHARD, steps * SHARD_STEP))
    why = (
        f"A draw of {chosen.queries:,} points takes {chosen.drawn} of {chosen.blocks} blocks: {chosen.chunks:.3g} "
        f"requests of {chosen.chunk_bytes / 1e3:,.0f} kB, {seconds(chosen) * 1e3:.2g} ms of a store of "
        f"{latency * 1e3:g} ms and {bandwidth / 1e6:,.0f} MB/s with {IN_FLIGHT} requests under way"
    )
    why += f"; apart, {seconds(apart[1]) * 1e3:.2g} ms." if pack else "."
    return StoreSuggestion(pack, shard_mb, Suggestion(costs, chosen, why), seconds(chosen), seconds(apart[1]))


def _chosen(sizes: Sequence[FrameSize], ratio: float, seconds: Callable[[Cost], float]) -> tuple[list[Cost], Cost]:
    """What the numbers of blocks cost, and the one to take: of those that cost hardly more than the best, one whose
    ranges are of a good length, or nearest to it; of several the most blocks, for more of them are drawn at random."""
    largest = max(sizes, key=lambda s: s.points * (sum(s.field_bytes) + s.place_bytes))
    costs = [summed([query_cost(s, b, ratio) for s in sizes]) for b in candidates(largest, ratio)]
    least = min(map(seconds, costs))

    def rank(cost: Cost) -> tuple[float, int]:
        return max(1.0, cost.chunk_bytes / LONGEST, SHORTEST / cost.chunk_bytes), -cost.blocks

    return costs, min((cost for cost in costs if seconds(cost) <= CLOSE * least), key=rank)


def _packed(size: FrameSize) -> FrameSize:
    """All of a point in one array."""
    return replace(size, field_bytes=(sum(size.field_bytes) + size.place_bytes,), place_bytes=0)
