"""The compiled loops, or None where they were not built: numpy then does the same, frame by frame and pass by pass."""

try:
    from ups_data._native import compiled as native
except ImportError:
    native = None  # type: ignore[assignment]  # the stub's types for those who have looked
