"""Parts of VTK's XML files: arrays in inline base64, with their units."""

import base64
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ups_data.errors import printable

TYPES = {"float32": "Float32", "float64": "Float64", "int64": "Int64", "uint8": "UInt8"}
HEAD = '<?xml version="1.0"?>\n<VTKFile type="{}" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'


def array(name: str, values: np.ndarray, *, units: str | None = None, of_file: bool = False) -> str:
    """An array of `(n, C)`; float16 becomes float32.

    Args:
        of_file: it belongs to the whole file, not to points.
    """
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    text = base64.b64encode(np.uint64(len(data)).astype("<u8").tobytes() + data).decode()
    size = f'NumberOfTuples="{len(values)}" ' if of_file else ""
    about = f'type="{TYPES[values.dtype.name]}" Name={quoteattr(name)} NumberOfComponents="{values.shape[1]}" {size}'
    key = ""
    if units is not None:
        key = (
            f'<InformationKey name="UNITS_LABEL" location="vtkDataArray">{escape(printable(units))}</InformationKey>\n'
        )
    return f'<DataArray {about}format="binary">\n{text}\n{key}</DataArray>\n'


def point_data(fields: Mapping[str, np.ndarray], units: Mapping[str, str]) -> str:
    """Fields on points, name → `(N, C)`."""
    arrays = "".join(array(name, values, units=units.get(name)) for name, values in fields.items())
    return f"<PointData>\n{arrays}</PointData>\n"


def field_data(numbers: Mapping[str, float]) -> str:
    """Numbers of the whole file: its time, and the parameters of the run."""
    arrays = "".join(array(name, np.array([[value]]), of_file=True) for name, value in numbers.items())
    return f"<FieldData>\n{arrays}</FieldData>\n"
