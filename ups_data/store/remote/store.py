"""A dataset behind a URL."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any

import numpy as np

from ups_data.errors import StoreError
from ups_data.store.counts import Counter, StoreCounts
from ups_data.store.object_store import Object, ObjectStore, Ranges, Wanted, check_key
from ups_data.store.remote.fetcher import fetcher
from ups_data.store.remote.joining import Joined, join
from ups_data.store.remote.reasons import reason_of
from ups_data.store.remote.secrets import StoreOptions
from ups_data.store.remote.urls import checked_url, client_of

DEFAULT_TIMEOUT = 60.0
LONGEST_ATTEMPT = 30.0
WRITE_SECONDS = 300.0


class RemoteStore(ObjectStore):
    """Objects of S3, Google Cloud Storage, Azure, and of any web server that answers requests of byte ranges.

        store = RemoteStore("s3://bucket/run", {"region": "eu-west-1"})
        loader = QueryLoader(store, split="train", batch_size=16, sampling=0.1)

    The requests of all stores of a process are sent by one thread, at most `LoaderOptions.in_flight` at once. Those
    that fail are repeated with back-off; those that are far slower than others are sent twice. Nothing is listed, and
    no size is asked for, but by tools.

    Pickles hold no credentials, unless they go to a process that `multiprocessing` starts: see `StoreOptions`.

    Args:
        url: of the dataset's folder: `s3://`, `gs://`, `az://`, `http://`, `https://`.
        store_options: credentials, endpoint, region and the like, by obstore's names; what is not given is looked for
            in the environment, as obstore does.
        timeout: seconds that a range may take with all attempts.

    Raises:
        UpsDataError: the URL holds credentials, obstore is not installed, or does not know an option.
    """

    own_memory = True

    def __init__(
        self, url: str, store_options: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.url, self.timeout = checked_url(url), timeout
        self.store_options = StoreOptions(store_options)
        self._counter = Counter()
        _ = self._client  # says at once what is wrong with the options

    def __repr__(self) -> str:
        return f"RemoteStore({self.url!r}, {self.store_options!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (self.url, self.store_options, self.timeout)

    def name(self, key: str) -> str:
        """The object's URL."""
        return f"{self.url}/{key}" if key else self.url

    def counts(self) -> StoreCounts:
        """What this store was asked for by this process."""
        return self._counter.totals()

    def get(self, key: str, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        check_key(key)
        return fetcher().submit(self._requests.whole(key, limit)).result()

    def get_first(self, key: str, size: int) -> bytes | None:
        """See `ObjectStore.get_first`."""
        try:
            return fetcher().submit(self._requests.first(check_key(key), size)).result()
        except StoreError:
            return None

    def open(self, key: str, size: int | None) -> Object:
        """See `ObjectStore.open`; nothing is asked for if the size is known."""
        check_key(key)
        return Object(key, fetcher().submit(self._requests.size(key)).result() if size is None else size)

    def get_ranges(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_ranges`."""
        return self._asked(wanted, urgent=True).result()

    def get_again(self, wanted: Sequence[Wanted]) -> Ranges:
        """See `ObjectStore.get_again`."""
        self._counter.add(retries=sum(len(join(start, stop).start) for _, start, stop in wanted))
        return self.get_ranges(wanted)

    def begin(self, wanted: Sequence[Wanted]) -> "Fetching":
        """Have ranges fetched, after those that somebody waits for; `Fetching.result` waits for them."""
        return self._asked(wanted, urgent=False)

    def _asked(self, wanted: Sequence[Wanted], *, urgent: bool) -> "Fetching":
        """Neighbours come in one request, duplicates once."""
        asked = [join(start, stop) for _, start, stop in wanted]
        requests = [
            (opened.key, joined.start.tolist(), joined.stop.tolist())
            for (opened, _, _), joined in zip(wanted, asked, strict=True)
        ]
        return Fetching(wanted, asked, fetcher().submit(self._requests.ranges(requests, urgent=urgent)))

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put`; a plain web server can only be read."""
        if self._is_web_server:
            super().put(key, data)
        try:
            _obstore().put(self._client, check_key(key), data)
        except Exception as error:  # obstore's have no class in common
            reason = error if isinstance(error, StoreError) else f"{reason_of(error).text}; see that you may write"
            raise StoreError(f"{self.name(key)} cannot be written, {reason}") from None

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.list`; a plain web server cannot be listed."""
        if self._is_web_server:
            yield from super().list(prefix)
        try:
            for some in _obstore().list(self._client, prefix=prefix or None):
                for found in some:
                    yield found["path"], found["size"]
        except Exception as error:
            reason = reason_of(error).text
            raise StoreError(f"{self.name(prefix)} cannot be listed, {reason}; copy the dataset first") from None

    @cached_property
    def client_to_write(self) -> Any:
        """obstore's store, for writers: an attempt may take as long as a large part does.

        Raises:
            StoreError: a plain web server can only be read.
        """
        if self._is_web_server:
            raise StoreError(f"{self.url} cannot be written: a web server can only be read; choose another place")
        return client_of(self.url, self.store_options, attempt_seconds=WRITE_SECONDS)

    @property
    def _is_web_server(self) -> bool:
        return self.url.lower().startswith("http")

    @cached_property
    def _client(self) -> Any:
        return client_of(self.url, self.store_options, attempt_seconds=min(LONGEST_ATTEMPT, self.timeout / 2))

    @cached_property
    def _requests(self) -> Any:
        from ups_data.store.remote.requests import Requests  # late: needs obstore

        hint = "give credentials in the environment or in store_options"
        if self.store_options.dropped:
            hint = f"{hint}, again in this process: they do not leave the one that they were given to"
        own = fetcher()
        return Requests(self._client, self.name, self._counter, own.gate, own.pace(self.url), self.timeout, hint)


class Fetching:
    """Ranges that are being fetched."""

    def __init__(self, wanted: Sequence[Wanted], asked: Sequence[Joined], future: "Future[list[list[Any]]]") -> None:
        self._wanted, self._asked, self._future = wanted, asked, future

    def result(self) -> Ranges:
        """Wait for them. Raises StoreError as `get_ranges` does."""
        found = self._future.result()
        first = np.cumsum([0, *map(len, found)])
        nothing = np.empty(0, np.int64)
        return Ranges(
            [body for of_object in found for body in of_object],
            np.concatenate([nothing, *(j.request + f for j, f in zip(self._asked, first.tolist(), strict=False))]),
            np.concatenate([nothing, *(joined.offset for joined in self._asked)]),
            np.concatenate([nothing, *(stop - start for _, start, stop in self._wanted)]),
        )

    def cancel(self) -> None:
        """Nobody wants them any more."""
        self._future.cancel()


def _made_again(url: str, store_options: StoreOptions, timeout: float) -> RemoteStore:
    """A store that was pickled."""
    return RemoteStore(url, store_options, timeout=timeout)


def _obstore() -> Any:
    import obstore  # late: a store that is only read by others needs none

    return obstore
