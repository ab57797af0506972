"""Ctrl-C and SIGTERM end a conversion in one line."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from ups_data.errors import printable


@contextmanager
def stopping(message: str) -> Iterator[None]:
    """Inside, either signal ends the process with a message, and with the status that a shell gives it."""
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _stop)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as under nohup
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _stop)
    try:
        yield
    except KeyboardInterrupt as stop:
        print(printable(message), file=sys.stderr)
        number = stop.args[0] if stop.args else signal.SIGINT
        raise typer.Exit(128 + number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    logging.getLogger("asyncio").disabled = True  # it would log what zarr's thread was doing
    raise KeyboardInterrupt(number)
