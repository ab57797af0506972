"""Arrays of `.mat` files up to version 7, read by scipy."""

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.limits import check_claim
from ups_data.sources.options import SourceOptions

# MATLAB's class → what its values become.
CLASSES = {
    **{"double": "f8", "single": "f4", "logical": "u1"},
    **{f"{sign}int{bits}": f"{sign[:1] or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
WHAT = "a MATLAB file"


class MatArray:
    """One array, read as a whole when it is first needed: scipy knows no parts of one. See `Member`."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self._path, self._name = path, name
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._held: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def rows(self, lead: int, start: int, stop: int) -> np.ndarray:
        """See `Member.rows`."""
        return self.whole()[lead, start:stop]

    def part(self, start: int, stop: int) -> np.ndarray:
        """See `Member.part`."""
        return self.whole()[start:stop]

    def whole(self) -> np.ndarray:
        """See `Member.whole`."""
        if self._held is None:
            values = np.asarray(_load(self._path, "loadmat", variable_names=[self._name])[self._name])
            if values.shape != self.shape or values.dtype.kind not in "biuf":
                raise UpsDataError(
                    f"{self._path}: {self._name} holds {values.dtype}, real numbers are expected: write complex ones "
                    "as two arrays, or leave it out of the file"
                )
            self._held = values.astype(self.dtype, copy=False)
        return self._held


def open_mat(path: Path, options: SourceOptions) -> tuple[Mapping[str, MatArray], dict[str, str]]:
    """The arrays of numbers by name, none of them read, and what else is in the file with the reason.

    Raises:
        UpsDataError: scipy is not installed, or the file is damaged or claims more than it holds.
    """
    arrays: dict[str, MatArray] = {}
    left_out: dict[str, str] = {}
    for name, shape, kind in _load(path, "whosmat"):
        if kind not in CLASSES:
            left_out[name] = f"is a {kind}, no array of numbers"
            continue
        claimed = math.prod(shape) * np.dtype(CLASSES[kind]).itemsize
        check_claim(path, name, claimed, path.stat().st_size, options.expansion)
        arrays[name] = MatArray(path, name, tuple(map(int, shape)), CLASSES[kind])
    return arrays, left_out


def _load(path: Path, function: str, **options: Any) -> Any:
    try:
        io = importlib.import_module("scipy.io")
    except ImportError as error:
        raise UpsDataError(f"{path}: reading it needs scipy, which is not installed: pip install scipy") from error
    try:
        if function == "loadmat":
            options |= {"squeeze_me": False}  # with mat_dtype it would drop imaginary parts
        return getattr(io, function)(str(path), appendmat=False, **options)
    except MemoryError as error:  # of a length that a compressed part claims, or of a file that is too large
        raise UpsDataError(
            f"{path}: takes more memory than there is, or is damaged: copy it again, or save as version 7.3, of which "
            "parts are read"
        ) from error
    except Exception as error:  # whatever the damage leads to
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read as {WHAT}, it is truncated or damaged: save or copy it again ({reason})"
        ) from error
