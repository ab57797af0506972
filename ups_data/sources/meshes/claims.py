"""What a file of VTK says it holds, and which others it names, before vtk allocates or opens any of it."""

import math
import re
from os.path import realpath
from pathlib import Path

from ups_data.sources.limits import check_claim, check_holes
from ups_data.sources.meshes.library import damaged
from ups_data.sources.meshes.references.xml import named_in_xml
from ups_data.sources.options import SourceOptions

# without a boundary before the name: a pattern that begins with plain text is searched ten times as fast
_COUNTS = re.compile(rb"""NumberOf(?:Points|Cells|Tuples|Verts|Lines|Strips|Polys)\s*=\s*["']\s*(-?[0-9]+)""")
_EXTENT = re.compile(rb"""extent\s*=\s*["']([-0-9 ]+)["']""")  # searched in small letters
_LEGACY = re.compile(rb"^\s*(?:POINTS|CELLS|CELL_TYPES|POINT_DATA|CELL_DATA|POLYGONS)\s+([0-9]+)", re.MULTILINE)
_DIMENSIONS = re.compile(rb"^\s*DIMENSIONS\s+([0-9]+)\s+([0-9]+)\s+([0-9]+)", re.MULTILINE)
_COMPONENTS = re.compile(rb"""NumberOfComponents\s*=\s*["']\s*(-?[0-9]+)""")
_FIELD_ARRAYS = re.compile(
    rb"^[^\s]+[ \t]+([0-9]+)[ \t]+([0-9]+)[ \t]+(?:[a-z_]*(?:char|short|int|long|float|double)|bit)", re.M
)
MOST_COMPONENTS = 10_000  # vtk makes a list of their names
_APPENDED, _HEAD = b"<AppendedData", 1024**2
POINT_BYTES = 24  # that vtk allocates for a point, at least


def check_claims(path: Path, kind: str, options: SourceOptions) -> int:
    """The most points or cells that a file claims, after a comparison of what vtk would allocate for them.

    So for all files that it names, and those that they name.

    Raises:
        UpsDataError: a claim is too large, or a file is named that is missing, no regular file, or outside of the
            folder of the one that names it.
    """
    most, waiting, known = 0, [path], {realpath(path)}
    while waiting:
        claimed, named = _claims_of(waiting.pop(), kind, options)
        most = max(most, claimed)
        for file in named:
            if realpath(file) not in known:
                known.add(realpath(file))
                waiting.append(file)
    return most


def _claims_of(path: Path, kind: str, options: SourceOptions) -> tuple[int, list[Path]]:
    """What one file claims, and the files that it names."""
    there = path.stat().st_size
    check_holes(path, options.expansion)
    text = path.read_bytes() if kind == "vtk" else _markup(path)
    claims = [int(n) for n in (_LEGACY if kind == "vtk" else _COUNTS).findall(text)]
    claims += [math.prod(map(int, sizes)) for sizes in _DIMENSIONS.findall(text)] if kind == "vtk" else []
    for extent in _EXTENT.findall(text.lower()) if kind != "vtk" else ():
        numbers = [int(n) for n in extent.split() if n.lstrip(b"-").isdigit()]
        claims.append(math.prod(abs(b - a) + 1 for a, b in zip(numbers[::2], numbers[1::2], strict=False)))
    components = [int(n) for n in _COMPONENTS.findall(text)] if kind != "vtk" else []
    arrays = [int(a) * int(b) for a, b in _FIELD_ARRAYS.findall(text)] if kind == "vtk" else []
    if min(components + claims, default=0) < 0:  # vtk would end the process
        raise damaged(path, f"a number of components, points or cells is {min(components + claims)}")
    if max(components, default=0) > MOST_COMPONENTS:
        raise damaged(path, f"an array of {max(components):,} components")
    for values in (*arrays, *(n * max(components, default=1) for n in claims)):
        check_claim(path, f"an array of {values:,} values", values, there, options.expansion)
    for claimed in claims:
        check_claim(path, f"a mesh of {claimed:,} points or cells", claimed * POINT_BYTES, there, options.expansion)
    return max(claims, default=0), [] if kind == "vtk" else named_in_xml(path, text, options)


def _markup(path: Path) -> bytes:
    """A file in XML up to its appended data, where vtk stops to parse it; all of it, if the word may stand in a comment
    or the like."""
    with open(path, "rb") as file:
        text = file.read(_HEAD)
        while (at := text.find(_APPENDED)) < 0 and (more := file.read(len(text))):
            text += more
        if at < 0:
            return text
        if b"<!" in text[:at] or text.count(b"<?", 0, at) > 1:
            return text + file.read()
    return text[: text.find(b">", at) + 1 or None]
