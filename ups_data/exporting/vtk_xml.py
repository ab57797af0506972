"""Parts of VTK's XML files: arrays in inline base64, with their units.

Text comes piece by piece, so that a frame of any size takes little memory.
"""

import base64
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ups_data.errors import printable
from ups_data.trajectory import ArrayLike

TYPES = {"float32": "Float32", "float64": "Float64", "int64": "Int64", "uint8": "UInt8"}
HEAD = '<?xml version="1.0"?>\n<VTKFile type="{}" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
PIECE_BYTES = 1 << 20  # of an array, that become text at once


def array(
    name: str, values: ArrayLike, *, units: str | None = None, of_file: bool = False, flat: bool = False
) -> Iterator[str]:
    """An array of `(n, C)`; float16 becomes float32.

    Args:
        of_file: it belongs to the whole file, not to points.
        flat: as n C single numbers.
    """
    kind = np.dtype(np.float32) if values.dtype == np.float16 else np.dtype(values.dtype)
    size = f'NumberOfTuples="{values.shape[0]}" ' if of_file else ""
    columns = 1 if flat else values.shape[1]
    about = f'type="{TYPES[kind.name]}" Name={quoteattr(name)} NumberOfComponents="{columns}" {size}'
    yield f'<DataArray {about}format="binary">\n'
    yield from _base64(values, kind)
    key = ""
    if units is not None:
        key = (
            f'<InformationKey name="UNITS_LABEL" location="vtkDataArray">{escape(printable(units))}</InformationKey>\n'
        )
    yield f"\n{key}</DataArray>\n"


def _base64(values: ArrayLike, kind: np.dtype) -> Iterator[str]:
    """The number of an array's bytes, and those, as one text."""
    rows, row_bytes = values.shape[0], values.shape[1] * kind.itemsize
    left = np.uint64(rows * row_bytes).astype("<u8").tobytes()
    step = max(1, PIECE_BYTES // max(1, row_bytes))
    for start in range(0, rows, step):
        piece = np.ascontiguousarray(values[start : start + step], kind.newbyteorder("<"))
        left += piece.tobytes()
        whole = len(left) - len(left) % 3  # three bytes become four letters; others would be filled up in between
        yield base64.b64encode(left[:whole]).decode()
        left = left[whole:]
    yield base64.b64encode(left).decode()


def point_data(fields: Mapping[str, ArrayLike], units: Mapping[str, str]) -> Iterator[str]:
    """Fields on points, name → `(N, C)`."""
    yield "<PointData>\n"
    for name, values in fields.items():
        yield from array(name, values, units=units.get(name))
    yield "</PointData>\n"


def field_data(numbers: Mapping[str, float]) -> Iterator[str]:
    """Numbers of the whole file: its time, and the parameters of the run."""
    yield "<FieldData>\n"
    for name, value in numbers.items():
        yield from array(name, np.array([[value]]), of_file=True)
    yield "</FieldData>\n"
