"""The native module, or None where it was not built: numpy then does the same, frame by frame and pass by pass."""

from typing import Any

native: Any
try:
    from ups_data import _native as native
except ImportError:
    native = None
