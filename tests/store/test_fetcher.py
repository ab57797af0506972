"""The thread that sends the requests of a process."""

import asyncio

from ups_data.store.remote.fetcher import Fetcher


def test_what_is_under_way_is_cancelled_as_the_process_ends() -> None:
    fetcher = Fetcher(4)
    waiting = [fetcher.submit(asyncio.sleep(100)) for _ in range(3)]
    fetcher.end()
    assert all(future.cancelled() for future in waiting)
