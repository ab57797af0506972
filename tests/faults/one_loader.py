"""A process that streams a dataset and tells on its output what happens, a JSON line each; see `test_processes.py`.

Arguments: dataset, options of the loader as JSON, and what to do.
"""

import json
import multiprocessing
import os
import sys
import threading
import time
from multiprocessing import forkserver
from typing import Any

from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.store.local import LocalStore

HANGS = "UPS_DATA_TEST_HANGS"


def hang(key_part: str) -> None:
    """Make opening an object whose key has this part hang for ever, in worker processes too."""
    opens = LocalStore.open

    def hangs(store: LocalStore, key: str, *given: Any) -> Any:
        if key_part in key:
            threading.Event().wait()
        return opens(store, key, *given)

    LocalStore.open = hangs  # type: ignore[method-assign]


if HANGS in os.environ:  # also where this module is imported by a worker process
    hang(os.environ[HANGS])


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def workers() -> list[int | None]:
    return [process.pid for process in multiprocessing.active_children()]


def server() -> int | None:
    return forkserver._forkserver._forkserver_pid


def main(root: str, options: dict, act: str) -> None:
    loader = QueryLoader(root, split="train", batch_size=4, sampling=QuerySampling(ratio=0.5), **options)
    if act == "fork":
        batches = iter(loader)
        next(batches)
        if os.fork() == 0:
            try:
                next(batches)
            except UpsDataError as error:
                say(error=str(error))
            os._exit(0)
        os.wait()
        say(went_on=sum(1 for _ in batches))
        return
    if act == "leave":
        for _ in range(2):
            next(iter(loader))
        alive = workers()
        del loader
        say(workers=alive, left=workers(), threads=[t.name for t in threading.enumerate() if "ups_data" in t.name])
        return
    try:
        for epoch in range(1000):
            for number, _ in enumerate(loader):
                if (epoch, number) == (0, 1):
                    say(workers=workers(), server=server())
                time.sleep(0.01)
    except UpsDataError as error:
        say(error=str(error), at=time.time(), left=workers())


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
