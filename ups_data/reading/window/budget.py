"""How many bytes may be fetched ahead: reserved in the order in which they are needed."""

import threading
from collections.abc import Callable

SHARE = 0.25


class Budget:
    """Bytes that are reserved before they are fetched, and given back when they were used.

    Whoever reserves takes a ticket first. Tickets get their bytes in order, so a small block that is needed late never
    keeps a large one that is needed soon from its bytes. A ticket that somebody waits for gets its bytes at once: what
    it waits for may be held by those who wait for it. So do all tickets before it: the few threads that serve tickets
    in order come to it only when those are served.

    What is needed in a later pass only gets bytes of the first `SHARE`: the store has enough to do with these, and if
    the pass never comes, little was fetched for nothing.

    Args:
        limit: bytes; one ticket gets its bytes however many they are.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._issued = 0
        self._open: set[int] = set()  # tickets that wait for their bytes, or are going to
        self._urgent: set[int] = set()
        self._change = threading.Condition()

    def has_room(self, *, early: bool) -> bool:
        """Whether there is any left; `early`: for a later pass."""
        return self.held < self._limit(early)

    def ticket(self) -> int:
        """The next in order. Whoever takes one calls `reserve` or `pass_on`."""
        with self._change:
            self._issued += 1
            self._open.add(self._issued)
            return self._issued

    def hurry(self, ticket: int) -> None:
        """Somebody waits for what is fetched with this ticket."""
        with self._change:
            if ticket in self._open:
                self._urgent.add(ticket)
                self._change.notify_all()

    def turn(self, ticket: int, is_cancelled: Callable[[], bool]) -> None:
        """Wait until all earlier tickets have their bytes."""
        with self._change:
            while not (min(self._open) == ticket or self._waited_for(ticket) or is_cancelled()):
                self._change.wait(0.5)  # nobody tells of a cancellation

    def reserve(
        self, ticket: int, size: int, is_cancelled: Callable[[], bool], is_early: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until so many bytes may be fetched; False if they are not wanted any more.

        Args:
            is_early: whether they are for a later pass still.
        """

        def ready() -> bool:
            first = min(self._open) == ticket
            fits = self.held == 0 or self.held + size <= self._limit(is_early())
            return is_cancelled() or self._waited_for(ticket) or (first and fits)

        with self._change:
            while not ready():
                self._change.wait(0.5)  # nobody tells of a cancellation
            self._closed(ticket)
            if is_cancelled():
                return False
            self.held += size
            return True

    def pass_on(self, ticket: int) -> None:
        """The ticket needs no bytes."""
        with self._change:
            self._closed(ticket)

    def give_back(self, size: int) -> None:
        """So many bytes were used, or are not wanted any more."""
        with self._change:
            self.held -= size
            self._change.notify_all()

    def _limit(self, early: bool) -> int:
        return int(self.limit * SHARE) if early else self.limit

    def _waited_for(self, ticket: int) -> bool:
        """Whether somebody waits for this ticket, or for one behind it."""
        return any(urgent >= ticket for urgent in self._urgent)

    def _closed(self, ticket: int) -> None:
        self._open.discard(ticket)
        self._urgent.discard(ticket)
        self._change.notify_all()
