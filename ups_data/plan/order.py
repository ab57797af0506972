"""The order of an epoch, worked out section by section as it is reached.

What is known from the beginning is small: the permutation of the windows, and where their groups end. The samples are
permuted inside a group, so no group's order depends on another's. A *section* is a run of whole groups, many if they
are small, so that numpy's calls are few; the last few sections are kept.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import pairwise

import numpy as np

from ups_data.hashing import hash_key
from ups_data.plan.samples import Table, groups

# Samples of a section at least, unless a group has more. Sorting so many takes some milliseconds.
SECTION = 32768
SECTIONS = 4  # that are kept: batches are asked for about in order, by several threads

# From where to where in the order → the canonical rank of each of those positions.
Canonical = Callable[[int, int], np.ndarray]


class _Purpose(IntEnum):
    """Keeps the two permutations of an epoch independent."""

    WINDOWS = 101
    SAMPLES = 102


class EpochOrder:
    """The samples of a shuffled epoch, in order.

    Args:
        canonical: see `Canonical`; None: one canonical rank for all.
        ranks: the canonical ranks whose samples will be asked for; None: all. Others' are not worked out.
    """

    def __init__(
        self,
        table: Table,
        *,
        seed: int,
        epoch: int,
        canonical: Canonical | None = None,
        ranks: Sequence[int] | None = None,
    ) -> None:
        self._table, self._seed, self._epoch = table, seed, epoch
        self._canonical, self._ranks = canonical, ranks
        keys = hash_key(seed, epoch, _Purpose.WINDOWS, np.arange(len(table.window_bytes)))
        self._windows = np.argsort(keys, kind="stable").astype(np.min_scalar_type(len(keys)))
        group = groups(table.window_bytes[self._windows])
        self._group_ends = np.append(np.flatnonzero(np.diff(group)) + 1, len(group))  # in `_windows`
        samples = np.cumsum(np.diff(table.window_starts)[self._windows])[self._group_ends - 1]
        self._sections, self._starts = _sections(samples)  # in groups, in samples
        self._kept: tuple[tuple[int, np.ndarray], ...] = ()

    def __len__(self) -> int:
        return len(self._table)

    def part(self, start: int, stop: int) -> np.ndarray:
        """The samples at positions `start` to `stop`; those of canonical ranks that nobody asks for are -1."""
        first = bisect_right(self._starts, start) - 1
        if stop <= self._starts[first + 1]:  # as nearly always
            offset = self._starts[first]
            return self._section(first)[start - offset : stop - offset]
        last = bisect_right(self._starts, stop - 1) - 1
        whole = np.concatenate([self._section(n) for n in range(first, last + 1)])
        return whole[start - self._starts[first] : stop - self._starts[first]]

    def whole(self, *, all_ranks: bool = False) -> np.ndarray:
        """Every sample, for tests and tools; with `all_ranks` those of every canonical rank."""
        ranks = None if all_ranks else self._ranks
        return np.concatenate([self._made(number, ranks) for number in range(len(self._sections) - 1)])

    def _section(self, number: int) -> np.ndarray:
        # Threads may ask at once: the tuple is replaced, never changed.
        for known, made in self._kept:
            if known == number:
                return made
        made = self._made(number, self._ranks)
        self._kept = (*self._kept[1 - SECTIONS :], (number, made))
        return made

    def _made(self, number: int, ranks: Sequence[int] | None) -> np.ndarray:
        start, stop = self._starts[number : number + 2]
        first, last = self._sections[number : number + 2]
        ends = self._group_ends[first:last]
        windows = self._windows[self._group_ends[first - 1] if first else 0 : ends[-1]].astype(np.int64)
        starts = self._table.window_starts[windows]
        sizes = self._table.window_starts[windows + 1] - starts
        shift = np.cumsum(sizes) - sizes
        laid = np.repeat(starts - shift, sizes) + np.arange(stop - start)  # samples, window after window
        counts = np.add.reduceat(sizes, np.concatenate([[0], ends[:-1] - (ends[-1] - len(windows))]))
        group = np.repeat(np.arange(len(counts)), counts)
        canonical = np.zeros(len(laid), np.int64) if self._canonical is None else self._canonical(start, stop)
        # A group's positions are those where its samples lie now; the first stretch is canonical rank 0's, and so on.
        positions = np.lexsort((canonical, group))
        dealt = canonical[positions]
        order = np.full(len(laid), -1, np.int64)
        if ranks is not None:
            wanted = np.isin(dealt, ranks)
            positions, dealt, group, laid = positions[wanted], dealt[wanted], group[wanted], laid[wanted]
        keys = hash_key(self._seed, self._epoch, _Purpose.SAMPLES, laid) if len(laid) else laid
        order[positions] = laid[np.lexsort((keys, dealt, group))]
        return order


def _sections(ends: np.ndarray) -> tuple[list[int], list[int]]:
    """Where sections begin, in groups and in samples, each with the end of the last.

    Args:
        ends: (groups,) the end of each group, in samples.
    """
    cuts = [0]
    while cuts[-1] < len(ends):
        begun = ends[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(min(len(ends), int(np.searchsorted(ends, begun + SECTION)) + 1))
    return cuts, [0, *(int(ends[cut - 1]) for _, cut in pairwise(cuts))]
