"""The files that a case of EnSight names."""

import re
from collections import Counter
from fnmatch import translate
from os.path import isdir, lexists, realpath
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.limits import check_holes
from ups_data.sources.links import is_inside
from ups_data.sources.meshes.references.inside import inside
from ups_data.sources.options import SourceOptions

SECTIONS = {"FORMAT", "GEOMETRY", "VARIABLE", "TIME", "FILE", "MATERIAL", "SCRIPTS"}
CHUNK = 4 << 20
_BINARY = re.compile(rb"C Binary|Fortran Binary", re.IGNORECASE)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def check_case(path: Path, options: SourceOptions) -> None:
    """Look at every file that a case may name: any word of it; a `*` stands for the number of a step.

    Raises:
        UpsDataError: one is no regular file, lies outside of the folder, or is no text where the others are; or the
            case has a section twice, at which vtk's reader does not end.
    """
    lines = [line for line in path.read_text("latin-1").splitlines() if not line.startswith("#")]
    twice = [name for name, count in Counter(line.strip() for line in lines).items() if name in SECTIONS and count > 1]
    if twice:
        raise UpsDataError(f"{path}: has the section {twice[0]} twice: it is damaged, write it again")
    words = {word.strip("\"'") for line in lines for word in line.split()}
    files = [file for word in sorted(words) for file in _files(path, word, options)]
    if not any(_is_binary(file) for file in files):
        for file in files:
            _check_text(file, options)


def _files(path: Path, word: str, options: SourceOptions) -> list[Path]:
    """Those that one word of the case names."""
    folder, _, name = word.rpartition("/")
    place = path.parent / folder
    if not options.allow_links and not is_inside(realpath(place), realpath(path.parent)):
        raise UpsDataError(f"{path}: names {word}, outside of its folder: copy it there, or give --allow-links")
    if "*" not in name:
        return [inside(path, word, options)] if lexists(path.parent / word) and not isdir(path.parent / word) else []
    if not isdir(place):
        return []
    pattern = re.compile(translate(re.sub(r"\*+", "*", name)))
    found = sorted(entry.name for entry in place.iterdir() if pattern.match(entry.name))
    return [inside(path, f"{folder}/{entry}" if folder else entry, options) for entry in found]


def _is_binary(file: Path) -> bool:
    with open(file, "rb") as opened:
        return _BINARY.search(opened.read(200)) is not None


def _check_text(file: Path, options: SourceOptions) -> None:
    """Vtk takes what it cannot read as a number for some number."""
    check_holes(file, options.expansion)
    with open(file, "rb") as opened:
        while chunk := opened.read(CHUNK):
            if _NO_TEXT.search(chunk):
                raise UpsDataError(f"{file}: is no text, as the rest of the case is: it is damaged, copy it again")
