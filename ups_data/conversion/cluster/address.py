"""Where a Dask cluster is: at a scheduler's address, or of this machine's own processes."""

import logging
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from ups_data.conversion.workers import signals_deferred
from ups_data.errors import UpsDataError

SCHEMES = ("tcp://", "tls://", "ws://", "wss://", "ucx://")


def check_address(address: str) -> int | None:
    """The number of processes of `local:N`; None: `address` is a scheduler's.

    Raises:
        UpsDataError: it is neither, or Dask is not installed.
    """
    local = re.fullmatch(r"local:([1-9][0-9]{0,3})", address)
    if local is None and not (address.startswith(SCHEMES) and address.isprintable()):
        raise UpsDataError(
            f"dask={address!r}: give a scheduler's address such as tcp://10.0.0.1:8786, or local:4 for 4 processes here"
        )
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UpsDataError(
            f"dask={address!r}: needs Dask, which is not installed: pip install 'ups_data[dask]'"
        ) from None
    return None if local is None else int(local[1])


@contextmanager
def scheduler_at(address: str) -> Iterator[str]:
    """The scheduler's address, once there is one. However this ends, no process of `local:N` outlives it.

    Raises:
        UpsDataError: as `check_address`, or processes cannot be started.
    """
    processes = check_address(address)
    if processes is None:
        yield address
        return
    from distributed import LocalCluster

    # Ctrl-C reaches every process of a terminal; only this one is to act on it. Dask's thread is started here and
    # starts all of them: they take over what it blocks. Starting multiprocessing's tracker would unblock it again.
    resource_tracker.ensure_running()
    is_main = threading.current_thread() is threading.main_thread()
    with signals_deferred():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if is_main else set()
        try:
            cluster = LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        except Exception as error:
            reason = " ".join(f"{error}".split())[:200]
            raise UpsDataError(f"dask={address!r}: the processes cannot be started ({reason})") from None
        finally:
            if is_main:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        yield cluster.scheduler_address
    finally:
        with signals_deferred():
            cluster.close(timeout=10)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Dask prints nothing here: what matters ends in one line of our own."""
    # Some of its loggers have levels of their own.
    known = [name for name in logging.Logger.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in ("distributed", *known)]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
