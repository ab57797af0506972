"""What tests that start processes, or might wait for ever, share."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def heed_ctrl_c() -> None:
    """For `preexec_fn`: a shell's background jobs, as pytest may be one, ignore SIGINT, and so does what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """What waits longer than this fails its test, and holds up no other."""

    def ended(*_: object) -> None:
        raise TimeoutError(f"it waits for more than {limit} seconds")

    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def make_device(path: Path) -> None:
    """A device of zeros without end."""
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs privileges")
