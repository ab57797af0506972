"""What is no number in a NetCDF file or a zarr group, beyond what xarray knows.

xarray leaves in place: a fill value that is declared in another type than the data's, NetCDF's default fill values,
and values outside of `valid_range`, `valid_min` and `valid_max`, which CF calls missing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups_data.errors import UpsDataError

FILLS = ("_FillValue", "missing_value")
RANGES = ("valid_range", "valid_min", "valid_max")
PACKED = ("scale_factor", "add_offset")
# NC_FILL_SHORT … of netcdf.h; bytes have none, since all of their values may be meant
DEFAULT_FILLS: dict[str, float | int] = {
    **{"i2": -32767, "i4": -2147483647, "i8": -9223372036854775806},
    **{"u2": 65535, "u4": 4294967295, "u8": 18446744073709551614},
    **{"f4": 9.969209968386869e36, "f8": 9.969209968386869e36},
}
# in a variable's encoding: its fill value is the default one; it is NetCDF's
IMPLICIT, NETCDF = "ups_data_default_fill", "ups_data_netcdf"


def declare_missing(dataset: Any, path: Path, engine: str) -> None:
    """Make the attributes of variables that are not yet decoded say what is missing as xarray understands it."""
    version_2 = engine == "zarr" and not (path / "zarr.json").exists()
    for variable in dataset.variables.values():
        attributes, kind = variable.attrs, variable.dtype.kind
        if kind not in "iuf":
            continue
        if "_Unsigned" not in attributes:
            for name in FILLS:
                if name in attributes:
                    _declare(attributes, name, attributes.pop(name), variable.dtype)
        packed = any(name in attributes for name in PACKED)
        if version_2 and not packed and np.array_equal(attributes.get("_FillValue"), 0):
            del attributes["_FillValue"]  # zarr's own default, of what was not written: zeros that were are numbers
        if engine == "zarr":
            continue
        variable.encoding[NETCDF] = True
        default = DEFAULT_FILLS.get(variable.dtype.str[1:])
        if packed and default is not None and "_FillValue" not in attributes and "_Unsigned" not in attributes:
            attributes["_FillValue"] = variable.dtype.type(default)
            variable.encoding[IMPLICIT] = True


def _declare(attributes: dict[str, Any], name: str, value: Any, dtype: np.dtype) -> None:
    """Declare those of an attribute's numbers that the data can hold, in the data's type."""
    numbers = _numbers(value)
    with np.errstate(all="ignore"):
        cast = numbers.astype(dtype)
    if dtype.kind != "f":
        cast = cast[cast.astype(np.float64) == numbers.astype(np.float64)]
    if cast.size:
        attributes[name] = cast[0] if cast.size == 1 else cast


def _numbers(value: Any) -> np.ndarray:
    """The numbers of an attribute, which some write as text; none where it holds none."""
    given = np.atleast_1d(np.asarray(value))
    if given.dtype.kind in "iufb":
        return given
    try:
        return np.array([float(v.decode() if isinstance(v, bytes) else v) for v in given.ravel().tolist()])
    except (TypeError, ValueError, UnicodeDecodeError):
        return np.empty(0)


def fills_with_default(dataset: h5py.Dataset) -> bool:
    """Whether NetCDF's default fill value stands for what was never written, as its own library has it."""
    default = DEFAULT_FILLS.get(dataset.dtype.str[1:])
    declared = dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    return bool(declared and default is not None and dataset.fillvalue == dataset.dtype.type(default))


def without_missing(where: str, values: np.ndarray, variable: Any) -> np.ndarray:
    """Decoded values with NaN where the file says, in ways that xarray does not know, that there is none.

    Raises:
        UpsDataError: integers, which have no NaN, are missing.
    """
    kind = values.dtype.kind
    if kind not in "iuf" or not values.size:
        return values
    missing: np.ndarray | None = None
    default = DEFAULT_FILLS.get(values.dtype.str[1:])
    if "_FillValue" in variable.encoding or "_FillValue" in variable.attrs:
        default = None
    if default is not None and (kind == "f" or variable.encoding.get(NETCDF)):
        missing = values == values.dtype.type(default)
    allowed = valid_range(variable)
    if allowed is not None:
        low, high = (np.float64(n) for n in allowed) if kind != "f" else (values.dtype.type(n) for n in allowed)
        outside = (values < low) | (values > high)
        missing = outside if missing is None else missing | outside
    if missing is None or not missing.any():
        return values
    if kind == "f":
        return np.where(missing, values.dtype.type(np.nan), values)
    found = values[missing].flat[0]
    said = "NetCDF's default fill value" if found == default else f"outside of its valid range {allowed}"
    raise UpsDataError(
        f"{where} holds {found}, {said}, which stands for what is missing: declare it as _FillValue, or another number "
        "as _FillValue if it is a value"
    )


def valid_range(variable: Any) -> tuple[float, float] | None:
    """The least and the greatest decoded value that is not missing; None: the file does not say.

    As NetCDF's conventions have it, limits of a packed variable are packed if they are integers.
    """
    attributes, encoding = variable.attrs, variable.encoding
    both = _numbers(attributes.get("valid_range", ()))
    if both.size != 2:
        least, most = (_numbers(attributes.get(name, ())) for name in RANGES[1:])
        if least.size > 1 or most.size > 1 or not (least.size or most.size):
            return None
        both = np.array([*(least if least.size else [-np.inf]), *(most if most.size else [np.inf])])
        given = least.dtype.kind if least.size else most.dtype.kind
    else:
        given = both.dtype.kind
    stored = encoding.get("dtype")
    if stored is not None and np.dtype(stored).kind in "iu" and given in "iu":
        both = _unpacked(both, np.dtype(stored), encoding)
    low, high = (float(n) for n in both)
    return (low, high) if low < high else None


def _unpacked(both: np.ndarray, stored: np.dtype, encoding: Mapping[str, Any]) -> np.ndarray:
    """Limits of packed values, half a step wider, so that rounding leaves values inside."""
    if str(encoding.get("_Unsigned", "false")).lower() == "true" and both.dtype.kind in "iu":
        both = both.astype(f"i{stored.itemsize}").view(f"u{stored.itemsize}")
    if not any(name in encoding for name in PACKED):
        return both
    scale, offset = (float(np.ravel(encoding.get(n, d))[0]) for n, d in zip(PACKED, (1.0, 0.0), strict=True))
    half = np.array([-0.5, 0.5]) * abs(scale)
    return np.sort(both.astype(np.float64) * scale + offset) + half


def declares_missing(variable: Any) -> bool:
    """Whether a variable says which numbers are no values: those points are meant to be missing."""
    encoding = variable.encoding
    for name in FILLS:
        if name == "_FillValue" and encoding.get(IMPLICIT):
            continue
        for value in np.atleast_1d(np.asarray(encoding.get(name, np.nan))):
            if value.dtype.kind in "iuf" and not np.isnan(value):
                return True
    return valid_range(variable) is not None
