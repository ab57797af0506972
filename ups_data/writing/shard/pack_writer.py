"""Writing a pack: rows of several fields, which come in pieces of different lengths, side by side in one array."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from ups_data.writing.shard.array_writer import ArrayWriter

# Parts that are no fields; a field's name has no blank.
COORDS, INDEX = " coords", " index"


class PackWriter:
    """Appends rows to an array whose channels are those of `parts`, in order.

    Args:
        parts: names of what comes in rows.
    """

    def __init__(self, array: ArrayWriter, parts: Sequence[str]) -> None:
        self._array, self._parts = array, parts
        self._waiting: dict[str, deque[np.ndarray]] = {part: deque() for part in parts}
        self._same: dict[str, np.ndarray] = {}

    def start_trajectory(self, same: dict[str, np.ndarray]) -> None:
        """Begin a trajectory.

        Args:
            same: of parts that are the same in all its rows, their row `(1, slots, C)`.
        """
        self._same = same

    def append(self, part: str, rows: np.ndarray) -> None:
        """Append rows `(n, …, C)` of one part; what is there of all of them is written."""
        self._waiting[part].append(rows)
        moving = [self._waiting[name] for name in self._parts if name not in self._same]
        while all(moving):
            count = min(len(rows[0]) for rows in moving)
            whole = [self._next(name, count) for name in self._parts]
            self._array.append(np.concatenate(whole, axis=-1))

    def _next(self, part: str, count: int) -> np.ndarray:
        """The next so many rows of a part."""
        if part in self._same:
            row = self._same[part]
            return np.broadcast_to(row, (count, *row.shape[1:]))
        rows = self._waiting[part].popleft()
        if len(rows) > count:
            self._waiting[part].appendleft(rows[count:])
        return rows[:count]
