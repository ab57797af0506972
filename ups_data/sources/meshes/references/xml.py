"""The files that a file of VTK in XML names.

What vtk will read is found as its parser would find it: comments, either kind of quotes, characters written as numbers.
"""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.meshes.references.inside import inside
from ups_data.sources.options import SourceOptions

# Possessive, so that a crafted tag is looked at once.
_TAG = re.compile(rb"""<([^\s/>"'<!?]+)((?:[^<>"']|"[^"]*"|'[^']*')*+)>""")
_BEGIN = re.compile(rb"""<[^\s/>"'<]""")
_ATTRIBUTE = re.compile(rb"""([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SKIPPED = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_ENCODING = re.compile(rb"""\s*<\?xml[^>]*encoding\s*=\s*["'](?!utf-?8["'])""", re.IGNORECASE)
_LEADS = (b"file", b"Source")  # the attributes that name other files


def named_in_xml(path: Path, text: bytes, options: SourceOptions) -> list[Path]:
    """The files that a file of VTK in XML, of this content, names.

    Raises:
        UpsDataError: one is missing, is no regular file or lies outside of the folder; or the text is written such that
            it cannot be told which they are.
    """
    foreign = _ENCODING.match(text) is not None
    names: dict[str, None] = {}
    for attributes in _tags(path, text):
        for key, one, other in _ATTRIBUTE.findall(attributes):
            if key in _LEADS:
                name = one or other
                if not name.isascii() and foreign:
                    raise UpsDataError(f"{path}: names files in another encoding than UTF-8: write it in UTF-8")
                names[unescape(name.decode(errors="surrogateescape"))] = None
    return [inside(path, name, options) for name in names if name]


def _tags(path: Path, text: bytes) -> Iterator[bytes]:
    """The attributes of every tag before the binary data."""
    place = _next(text, 0)
    while place >= 0:
        closing = next((end for start, end in _SKIPPED.items() if text.startswith(start, place)), None)
        if closing is not None:
            place = text.find(closing, place + 2)
            if place < 0:
                return  # vtk's parser stops here, too
        elif text.startswith(b"<!", place):
            raise UpsDataError(f"{path}: defines entities, which a file of VTK has no need of: remove them")
        elif (tag := _TAG.match(text, place)) is not None:
            if tag[1] == b"AppendedData":
                break
            yield tag[2]
        place = _next(text, place + 1)
    if b"\0" in (text if place < 0 else text[:place]):
        raise UpsDataError(f"{path}: is in another encoding than UTF-8, or damaged: write it in UTF-8")


def _next(text: bytes, place: int) -> int:
    found = _BEGIN.search(text, place)
    return -1 if found is None else found.start()
