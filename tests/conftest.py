"""How the tests are run."""

import os

import pytest

ALL_OF_THEM = ["tests"]  # `testpaths`


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for all tests; none where somebody names the tests to run, for a debugger, or wants to see what
    they print (`-s`)."""
    return min(2, os.cpu_count() or 1) if config.args == ALL_OF_THEM and config.option.capture != "no" else 0
