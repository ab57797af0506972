"""What a worker process does: it makes the batches that it is asked for, and ends with the training process."""

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import threading
import traceback
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import torch

from ups_data.engine.processes.maker import BatchMaker
from ups_data.engine.processes.wire import Channel, Sender
from ups_data.errors import UpsDataError


class Request(NamedTuple):
    """More batches of a pass, please.

    Attributes:
        number: of the pass; another one than before begins it.
        epoch, first: of the pass, and the batch that it begins with.
        more: how many batches more.
        freed: memory that may be used again.
    """

    number: int
    epoch: int
    first: int
    more: int
    freed: list[int]


def main(source: BatchMaker, worker: int, workers: int, end: socket.socket, temporary: str) -> None:
    """Serve requests until the other end of the socket is closed.

    Every answer is (number of the pass, batch, stats, error, news of damaged samples). With an error the pass is over:
    (type, one line) of an `UpsDataError`, (None, traceback) of anything else.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training process's affair
    end_with_parent(temporary)
    torch.set_num_threads(1)
    channel = Channel(end)
    sender = Sender(channel)
    sender.send((-1, None, source.stats(), None, []))  # here it is
    current, wanted = -1, 0
    batches: Any = iter(())
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            while (body := channel.receive(0 if wanted else None)) is not None:
                request: Request = pickle.loads(body)
                sender.give_back(request.freed)
                if request.number != current:
                    current, wanted = request.number, 0
                    batches = source.batches(request.epoch, request.first + worker, workers)
                wanted += request.more
            wanted -= 1
            try:
                batch = next(batches)
            except UpsDataError as error:
                answer: Any = current, None, source.stats(), (type(error), str(error))
            except StopIteration:
                continue
            except Exception:
                answer = current, None, source.stats(), (None, traceback.format_exc())
            else:
                answer = current, batch, source.stats(), None
                del batch
            sender.send((*answer, [] if source.damaged is None else source.damaged.news()))
            del answer


def end_with_parent(temporary: str) -> None:
    """End this process as soon as the one that started it has, which is not its parent where a fork server is.

    Args:
        temporary: a folder of the training process's, which it may not have lived to remove.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    watched: list[Any] = [parent.sentinel]  # a pipe, which forks of the training process hold too
    try:
        watched.append(os.pidfd_open(parent.pid))  # type: ignore[arg-type]
    except ProcessLookupError:
        os._exit(1)
    except (AttributeError, OSError):
        pass  # not on this system

    def watch() -> None:
        wait(watched)
        shutil.rmtree(temporary, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="ups_data-parent", daemon=True).start()
