"""A grid as VTK has lattices: `.vti` where all axes are even, `.vtr` where one is not. No cells are stored."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ups_data.exporting.vtk_xml import HEAD, array, field_data, point_data
from ups_data.trajectory import Axis


def lattice_of(
    axes: Sequence[Axis], fields: Mapping[str, np.ndarray], units: Mapping[str, str], numbers: Mapping[str, float]
) -> tuple[str, Iterator[str]]:
    """The file's ending and its text, in pieces. VTK's x is the last axis of the array, and coordinates ascend in VTK:
    values along an axis that descends are turned round, and stay where they are.

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
    return ("vti" if even else "vtr"), _text(kind, about, extent, () if even else xyz, flat, units, numbers)


def _text(
    kind: str,
    about: str,
    extent: str,
    lines: Sequence[np.ndarray],
    fields: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    numbers: Mapping[str, float],
) -> Iterator[str]:
    """A lattice's file, with the coordinates of those lines, x first, if there are any."""
    yield f"{HEAD.format(kind)}<{kind} {about}>\n"
    yield from field_data(numbers)
    yield f'<Piece Extent="{extent}">\n'
    yield from point_data(fields, units)
    if lines:
        yield "<Coordinates>\n"
        for name, line in zip("xyz", lines, strict=True):
            yield from array(name, line[:, None])
        yield "</Coordinates>\n"
    yield f"</Piece>\n</{kind}>\n</VTKFile>\n"


def _spacing(line: np.ndarray) -> float:
    return float(line[-1] - line[0]) / (len(line) - 1) if len(line) > 1 else 1.0


def _is_even(line: np.ndarray) -> bool:
    even = line[0] + _spacing(line) * np.arange(len(line))
    return bool(np.abs(line - even).max() <= 1e-6 * abs(_spacing(line)))
