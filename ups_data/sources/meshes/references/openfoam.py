"""Directives in the files of an OpenFOAM case, which make a reader open other files, or run code.

A directive may stand anywhere, behind a comment too, in text as in the gaps of binary data, and in compressed files; so
the bytes of every file are looked at, all of them.
"""

import re
import zlib
from collections.abc import Iterator
from itertools import chain
from os.path import realpath
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.limits import check_claim, check_holes
from ups_data.sources.links import is_inside

CHUNK, REACH, MOST = 4 << 20, 1 << 16, 16 << 20  # bytes: looked at at once, of a directive, of one with its comments
_GAP = rb"(?:\s|/\*.*?\*/|//[^\n]*\n)*+"
# In quotes, a backslash may stand before each letter.
_WORD = rb"(?:\\?s)?" + b"".join(rb"\\?" + bytes([letter]) for letter in b"include")
_DIRECTIVE = re.compile(b"#" + _GAP + b'"?(?:' + _WORD + b"|codeStream|calc)", re.DOTALL)
_UNENDED = re.compile(b"#" + _GAP + rb"(?:/\*|/?\Z|//[^\n]*\Z)", re.DOTALL)  # in the midst of its comments
_PLAIN = re.compile(rb"""#include\s+(?:"([^"\\$~<>\n]+)"|(<?[\w.-]+>?)(?=\s))""")  # one whose file can be told
_BEGIN = re.compile(rb"""#(?=[\s/"\\sic]|\Z)""")
_READ = re.compile(r"[-+.0-9eE]+|constant|processors?[-_0-9]*")  # folders of a case that a reader goes through


def check_includes(case: Path, expansion: float) -> None:
    """Look at every file of a case that a reader may open: its control file, mesh and times, and what they include.

    Args:
        expansion: decoded bytes for each byte of a compressed file, at most.

    Raises:
        UpsDataError: a directive leads out of the case or runs code, or a compressed file is damaged or too large.
    """
    waiting = [file for file in case.glob("system/controlDict*") if file.is_file()]
    for folder in case.iterdir():
        if folder.is_dir() and _READ.fullmatch(folder.name):
            waiting += [file for file in folder.rglob("*") if file.is_file()]
    known, root = {realpath(file) for file in waiting}, realpath(case)
    while waiting:
        file = waiting.pop()
        check_holes(file, expansion)
        for directive in _directives(file, _content(file, expansion)):
            included = _included(file, directive, root)
            for other in (included, Path(f"{included}.gz")):
                if other.is_file() and realpath(other) not in known:
                    known.add(realpath(other))
                    waiting.append(other)


def _directives(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Every directive of a file, and what follows it."""
    text = b""
    for piece in chain(pieces, (b"",)):
        text += piece
        kept = len(text)
        for begin in _BEGIN.finditer(text):
            place = begin.start()
            unended = _UNENDED.match(text, place) is not None
            if piece and (unended or len(text) - place < REACH):
                kept = place
                break
            if _DIRECTIVE.match(text, place):
                yield text[place : place + REACH]
        text = text[kept:]
        if len(text) > MOST + CHUNK:
            raise UpsDataError(f"{path}: has # before more than {MOST:,} bytes of comments: remove them")


def _content(path: Path, expansion: float) -> Iterator[bytes]:
    """A file's bytes, in pieces; of a compressed one, those that are compressed, as far as vtk reads them."""
    with open(path, "rb") as file:
        decoder = zlib.decompressobj(31) if file.read(2) == b"\x1f\x8b" else None
        file.seek(0)
        size, decoded = path.stat().st_size, 0
        while chunk := file.read(CHUNK if decoder is None else REACH):
            if decoder is None:
                yield chunk
                continue
            while chunk and not decoder.eof:
                try:
                    piece = decoder.decompress(chunk, CHUNK)
                except zlib.error as error:
                    raise UpsDataError(f"{path}: is damaged ({error}): copy it again") from None
                chunk = decoder.unconsumed_tail
                decoded += len(piece)
                check_claim(path, f"a file of more than {decoded:,} bytes", decoded, size, expansion)
                if piece:
                    yield piece
        if decoder is not None and (rest := decoder.flush()):
            yield rest


def _included(path: Path, directive: bytes, root: str) -> Path:
    """The file that a directive includes."""
    named = _PLAIN.match(directive)
    name = (named[1] or named[2]).decode(errors="surrogateescape") if named else ""
    if not name or not is_inside(realpath(path.parent / name), root):
        shown = directive[:60].split(b"\n")[0].decode(errors="replace")
        raise UpsDataError(
            f"{path}: has {shown}, which leads out of the case or runs code: write its value instead, or give "
            "--allow-links"
        )
    return path.parent / name
