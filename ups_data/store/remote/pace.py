"""How long requests usually take, and from when on one is far slower than the others."""

FIRST_SECONDS = 5.0  # before anything is known
LEAST_SECONDS = 0.25
KNOWN = 16  # requests that make it known
SHARE, SPARE = 0.05, 8  # of the requests may be sent twice, and so many more


class Pace:
    """Mean and deviation of the requests' seconds, as TCP follows its round trips (RFC 6298)."""

    def __init__(self) -> None:
        self._mean = self._deviation = 0.0
        self._count = self._twice = 0

    def took(self, seconds: float) -> None:
        """A request was answered."""
        self._count += 1
        if self._count == 1:
            self._mean, self._deviation = seconds, seconds / 2
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    def slow(self) -> float:
        """Seconds after which a request is far slower than the others."""
        if self._count < KNOWN:
            return FIRST_SECONDS
        return max(LEAST_SECONDS, 3 * self._mean, self._mean + 8 * self._deviation)

    def may_send_twice(self) -> bool:
        """Whether one more may be sent twice: if many are slow, the store is, and more requests make it slower."""
        if self._twice >= SPARE + SHARE * self._count:
            return False
        self._twice += 1
        return True
