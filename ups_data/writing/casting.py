"""From a source's dtype to the stored one, losing nothing that was not asked for."""

import numpy as np

from ups_data.errors import UpsDataError

# Every value of these is a float32.
_EXACT = {"bool", "int8", "uint8", "int16", "uint16", "float32"}
STORED = ("float16", "float32")


def stored_dtype(source: np.dtype, cast: str | None, where: str) -> np.dtype:
    """The dtype to store a source's dtype in: itself, float32 where that is exact, or `cast`.

    Raises:
        UpsDataError: the dtype does not fit and no cast was asked for, or it is not a number.
    """
    if cast is not None and cast not in STORED:
        raise UpsDataError(f"cast to {cast!r}: fields are stored as float32 or float16")
    name = source.newbyteorder("=").name
    if source.kind not in "biuf":
        raise UpsDataError(f"{where} holds {name}, which is not a real number: split it into real channels")
    if cast is not None:
        return np.dtype(cast)
    if name == "float16":
        return np.dtype(np.float16)
    if name not in _EXACT:
        raise UpsDataError(f"{where} is {name}, which is stored only when asked: cast it (--cast float32)")
    return np.dtype(np.float32)


def cast_exactly(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    """Cast `values` to the stored dtype.

    Raises:
        UpsDataError: a finite value overflows, becomes zero, or is an integer that has no such float; the message names
            it.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        out = values.astype(dtype)
    overflow = ~np.isfinite(out)
    if overflow.any():
        overflow &= np.isfinite(values)
        if overflow.any():
            raise UpsDataError(
                f"{where}: the value {values[overflow].flat[0]:g} overflows {dtype.name} "
                f"(largest {np.finfo(dtype).max:g}): store it as a wider type or rescale the field"
            )
    zeros = (out == 0) & (values != 0)
    if zeros.any():
        smallest = np.finfo(dtype).smallest_subnormal
        raise UpsDataError(
            f"{where}: the value {values[zeros].flat[0]:g} becomes zero as {dtype.name} (smallest {smallest:g}): "
            "store it as a wider type or rescale the field"
        )
    if values.dtype.kind in "iu" and values.dtype.itemsize > 1:
        changed = out.astype(np.float64) != values
        if changed.any():
            raise UpsDataError(
                f"{where}: the integer {values[changed].flat[0]} would be rounded as {dtype.name}: rescale the field"
            )
    return out
