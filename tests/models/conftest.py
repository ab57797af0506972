"""The small datasets that the tests of training have."""

from tests.training.conftest import _one_thread, static, waves

__all__ = ["_one_thread", "static", "waves"]
