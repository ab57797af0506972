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

from ups_data import QueryLoader, QuerySampling, UpsDataError


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
