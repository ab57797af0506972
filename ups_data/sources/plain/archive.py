"""Zip archives (`.npz`, `.pt`): claims are compared with the bytes that are there, and checksums are checked once."""

import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ups_data.errors import UpsDataError
from ups_data.sources.limits import check_claim
from ups_data.sources.options import SourceOptions

_METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma"}
_checked: dict[tuple[str, int, int, str], None] = {}
_lock = threading.Lock()
# What reading a damaged or a crafted archive raises.
ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, OverflowError, RuntimeError, struct.error)


@contextmanager
def archive_of(path: Path, what: str, options: SourceOptions) -> Iterator[zipfile.ZipFile]:
    """The archive, open inside the `with`, after a look at what its members claim.

    Args:
        what: it is, for the message.

    Raises:
        UpsDataError: it is truncated or damaged, now or while it is read; a member is encrypted, compressed by a method
            that is not known, named twice, or claims far more than is there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive.infolist(), options)
            yield archive
    except UpsDataError:
        raise
    except ERRORS as error:
        raise damaged(path, what, error) from error


def damaged(path: Path, what: str, error: Exception) -> UpsDataError:
    """The one line for whatever reading it raised."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UpsDataError(
        f"{path}: cannot be read as {what}, it is truncated or damaged: save or copy it again ({reason})"
    )


def _check(path: Path, members: list[zipfile.ZipInfo], options: SourceOptions) -> None:
    there = path.stat().st_size
    check_claim(path, "all that it holds", sum(m.file_size for m in members), there, options.expansion)
    names = set()
    for member in members:
        if member.filename in names:
            raise UpsDataError(f"{path}: holds {member.filename!r} twice: keep one of them")
        names.add(member.filename)
        if member.flag_bits & 1:
            raise UpsDataError(f"{path}: {member.filename} is encrypted: save it without a password")
        if member.compress_type not in _METHODS:
            raise UpsDataError(
                f"{path}: {member.filename} is compressed by the method {member.compress_type}, which is not known: "
                "save it by deflate or uncompressed"
            )
        if member.compress_size > there:  # zipfile would take memory for all of it
            raise damaged(path, "a zip archive", EOFError(f"{member.filename} ends behind the file"))
        check_claim(path, member.filename, member.file_size, member.compress_size, options.expansion)


def data_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: after its local header, whose two last numbers are the lengths that follow.

    Raises:
        UpsDataError: no local header is there, or what is stored does not lie in the file.
    """
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise damaged(path, "a zip archive", EOFError(f"{member.filename} has no header"))
    at = member.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if at + member.compress_size > path.stat().st_size:
        raise damaged(path, "a zip archive", EOFError(f"{member.filename} ends behind the file"))
    return at


def check_member(path: Path, name: str) -> None:
    """Compare a member with its checksum, once for each version of the file in this process.

    Raises:
        UpsDataError: it differs.
    """
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns, name)
    with _lock:
        if key in _checked:
            return
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            _read_through(stream)
    except ERRORS as error:
        raise damaged(path, "a zip archive", error) from error
    with _lock:
        _checked[key] = None


def _read_through(stream: IO[bytes]) -> None:
    while stream.read(1 << 20):  # at its end the checksum is compared
        pass
