"""How many rows a stored chunk has: pure arithmetic."""

# A chunk is what one read fetches and one call decodes: large enough that neither is overhead, small enough for cache.
WHOLE_FRAMES = 256 * 1024
# A chunk of one block of a frame stays alone unless it is smaller: a sparse horizon reads no frames it does not need.
BLOCK = 8 * 1024


def rows_of_chunk(row_bytes: int, steps: int, target: int) -> int:
    """Rows of a chunk of about `target` bytes, so that chunks and trajectories share boundaries where possible."""
    rows = max(1, target // row_bytes)
    if rows >= steps:
        return rows // steps * steps
    divisors = [k for k in range(rows // 2 + 1, min(2 * rows, steps) + 1) if steps % k == 0]
    return min(divisors, key=lambda k: abs(k - rows), default=rows)


def rows_of_block_chunk(block_bytes: int, steps: int, target: int = BLOCK) -> int:
    """The same for chunks of one block, which never span trajectories: those of points may differ in their blocks."""
    return min(steps, rows_of_chunk(block_bytes, steps, target))
