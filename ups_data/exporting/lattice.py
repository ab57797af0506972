"""A grid as VTK has lattices: `.vti` where all axes are even, `.vtr` where one is not. No cells are stored."""

from collections.abc import Mapping, Sequence

import numpy as np

from ups_data.exporting.vtk_xml import HEAD, array, field_data, point_data
from ups_data.trajectory import Axis


def lattice_of(
    axes: Sequence[Axis], fields: Mapping[str, np.ndarray], units: Mapping[str, str], numbers: Mapping[str, float]
) -> tuple[str, str]:
    """The file's ending and its text. VTK's x is the last axis of the array, and coordinates ascend in VTK: values
    along an axis that descends are turned round, and stay where they are.

    Args:
        axes: in the order of the array.
        fields: name → `(N, C)`, row by row.
    """
    lines = [np.asarray(axis.coordinates, np.float64) for axis in axes]
    turned = tuple(slice(None, None, -1 if len(line) > 1 and line[-1] < line[0] else 1) for line in lines)
    shape = [len(line) for line in lines]
    lines = [line[turn] for line, turn in zip(lines, turned, strict=True)]
    flat = {n: v.reshape(*shape, v.shape[-1])[turned].reshape(-1, v.shape[-1]) for n, v in fields.items()}
    xyz = [*reversed(lines), *[np.zeros(1)] * (3 - len(lines))]
    extent = " ".join(f"0 {len(line) - 1}" for line in xyz)
    even = all(_is_even(line) for line in xyz)
    kind = "ImageData" if even else "RectilinearGrid"
    about = f'WholeExtent="{extent}"'
    if even:
        origin = " ".join(f"{line[0]:.17g}" for line in xyz)
        spacing = " ".join(f"{_spacing(line):.17g}" for line in xyz)
        about += f' Origin="{origin}" Spacing="{spacing}"'
    where = "" if even else f"<Coordinates>\n{''.join(array(n, v[:, None]) for n, v in zip('xyz', xyz, strict=True))}"
    parts = [
        HEAD.format(kind),
        f'<{kind} {about}>\n{field_data(numbers)}<Piece Extent="{extent}">\n{point_data(flat, units)}',
        where if even else f"{where}</Coordinates>\n",
        f"</Piece>\n</{kind}>\n</VTKFile>\n",
    ]
    return ("vti" if even else "vtr"), "".join(parts)


def _spacing(line: np.ndarray) -> float:
    return float(line[-1] - line[0]) / (len(line) - 1) if len(line) > 1 else 1.0


def _is_even(line: np.ndarray) -> bool:
    even = line[0] + _spacing(line) * np.arange(len(line))
    return bool(np.abs(line - even).max() <= 1e-6 * abs(_spacing(line)))
