"""`Group`: the ranks of a run, and what they tell one another."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed

from ups_data.engine.ranks import expected_ranks, is_distributed, rank_and_world, summed
from ups_data.errors import ToldError, UpsDataError

T = TypeVar("T")
GONE = (
    "another rank has ended, so this one ends too: see what that one said; the same command goes on from the last "
    "checkpoint"
)


class Group:
    """This process among the ranks of a run. Every rank calls each method, in the same order; one alone never waits.

    Attributes:
        rank: of this process.
        size: how many there are.
        first: whether this is rank 0, which alone writes and prints.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size, self.first = rank, size, rank == 0

    def total(self, amounts: Sequence[float]) -> list[float]:
        """The sums of these numbers over all ranks."""
        if self.size == 1:
            return list(amounts)
        with told_if_gone():
            sums: list[float] = summed(np.array(amounts, np.float64)).tolist()
            return sums

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return self.total([flag])[0] > 0

    def all_of(self, value: T) -> list[T]:
        """The values of all ranks, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with told_if_gone():
            distributed.all_gather_object(values, value)
        return values

    def of_first(self, value: T) -> T:
        """Rank 0's value; the others' are not looked at."""
        if self.size == 1:
            return value
        values: list[Any] = [value if self.first else None]
        with told_if_gone():
            distributed.broadcast_object_list(values, src=0)
        mine: T = values[0]
        return mine

    @contextmanager
    def together(self, amounts: int = 0) -> Iterator[list[float]]:
        """A block that fails on all ranks or on none. No rank may wait for another within it.

        Args:
            amounts: how many numbers the block gives, in the list that it gets. After it, they are the sums over all
                ranks.

        Raises:
            UpsDataError: the block failed on other ranks, and not here.
            ToldError: the same, or it failed on all of them, and this is not the first, which tells of it.
        """
        given = [0.0] * amounts
        try:
            yield given
        except BaseException as error:
            failed: list[int] = []
            with suppress(UpsDataError):  # the others have ended already; this error is the one to tell of
                failed = self._settle(given, failed=True)
            if isinstance(error, UpsDataError) and len(failed) == self.size and not self.first:
                raise ToldError(str(error)) from error
            raise
        failed = self._settle(given, failed=False)
        if failed:
            ranks = f"rank{'s' * (len(failed) > 1)} {', '.join(map(str, failed))}"
            told = f"{ranks} failed and said why, so this one ends too"
            raise UpsDataError(told) if self.first else ToldError(told)

    def _settle(self, amounts: list[float], *, failed: bool) -> list[int]:
        """The ranks on which something failed; the amounts become the sums over all ranks."""
        flags = [0.0] * self.size
        flags[self.rank] = float(failed)
        sums = self.total([*flags, *amounts])
        amounts[:] = sums[self.size :]
        return [rank for rank, flag in enumerate(sums[: self.size]) if flag]


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The ranks that a launcher such as torchrun has started; this process alone if there was none.

    Tensors in memory travel by gloo, those on GPUs by NCCL. If the caller has initialised `torch.distributed`, that is
    used as it is, and left.

    Raises:
        UpsDataError: the others cannot be reached.
    """
    if is_distributed() or expected_ranks() == 1:
        yield Group(*rank_and_world())
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UpsDataError(
            f"WORLD_SIZE says that there are {expected_ranks()} ranks, and they cannot be reached ({reason}): start "
            "them with torchrun, or unset WORLD_SIZE"
        ) from None
    yield Group(*rank_and_world())
    distributed.destroy_process_group()  # not after an error: it might wait for ranks that have ended


@contextmanager
def told_if_gone() -> Iterator[None]:
    """If a rank has ended while this one waits for it, one line in place of what the libraries say."""
    try:
        yield
    except RuntimeError as error:
        words = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")
        if any(word in str(error).lower() for word in words):
            raise UpsDataError(GONE) from error
        raise


@contextmanager
def same_on_every_rank() -> Iterator[None]:
    """A block that does the same on every rank, before they have met: if it fails, the first one tells of it."""
    try:
        yield
    except UpsDataError as error:
        if not is_first():
            raise ToldError(str(error)) from error
        raise


def is_first() -> bool:
    """Whether this process is rank 0, or there are no others, as the launcher says."""
    return expected_ranks() == 1 or os.environ.get("RANK", "0") == "0"


def local_rank() -> int | None:
    """This process's number on its machine, as the launcher says; None if there is no launcher."""
    number = os.environ.get("LOCAL_RANK", "")
    return int(number) if number.isdecimal() and expected_ranks() > 1 else None
