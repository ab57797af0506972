"""How the tests are run."""

import gc
import os
from collections.abc import Iterator

import pytest

ALL_OF_THEM = ["tests"]  # `testpaths`

# Before torch is imported, and for programs that tests start, too: small models gain nothing from a second thread, and
# where two processes of tests have two processors, threads wait for one another, turning.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for all tests; none where somebody names the tests to run, for a debugger, or wants to see what
    they print (`-s`)."""
    return min(2, os.cpu_count() or 1) if config.args == ALL_OF_THEM and config.option.capture != "no" else 0


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """What is written need not be on the disk when a test goes on, which takes a hundredth of a second a file: no test
    can cut the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def pytest_collection_finish() -> None:
    """Modules and thousands of collected tests live to the end: the garbage collector need not walk them each time,
    which takes it a second, and some tests have it look often."""
    gc.collect()
    gc.freeze()
