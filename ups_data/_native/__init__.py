"""The compiled loops, or None where they were not built: numpy then does the same, frame by frame and pass by pass."""

from typing import Any

native: Any
try:
    from ups_data._native import compiled as native
except ImportError:
    native = None
