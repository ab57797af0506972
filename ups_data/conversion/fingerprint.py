"""What a conversion is of: the source's files, the options, the writer. The same identity gives the same bytes."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.schema.specs import Model
from ups_data.sources.listing import BESIDE, is_zarr

# To be raised with every change of the bytes that the same source and options give.
WRITER = "2"
# Looked at on either end of every file.
LOOKED_AT = 4096


class FileMark(Model):
    """By which a changed file is told: its size, its time, and the ends of its content. A change in the middle that
    keeps size and time is not noticed."""

    size: int
    mtime_ns: int
    ends: str


class Identity(Model):
    """`source`: the path as it was given. `files`: path in the source → mark."""

    source: str
    options: dict[str, str]
    writer: dict[str, str]
    files: dict[str, FileMark]

    @classmethod
    def of(cls, source: Path, options: Mapping[str, Any]) -> "Identity":
        """Of a source as it is now.

        Raises:
            UpsDataError: a file cannot be read.
        """
        return cls(
            source=str(source),
            options={name: json.dumps(value) for name, value in sorted(options.items())},
            writer=writer_versions(),
            files={name: _mark(file) for name, file in _files(source)},
        )

    def again(self, source: Path) -> "Identity":
        """The same of the source as it is now."""
        return self.model_copy(update={"files": {name: _mark(file) for name, file in _files(source)}})

    @property
    def fingerprint(self) -> str:
        """Of what the dataset holds: the same for a copy of the source under the same path, with other times."""
        files = {name: [mark.size, mark.ends] for name, mark in self.files.items()}
        text = json.dumps([self.source, self.options, files], sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def digest(self) -> str:
        """Of the files alone; see `files_digest`."""
        return _digest(self.files)

    def changed(self, source: Path) -> str | None:
        """The first of the files that is not as it was, in words. Size and time are compared: it is asked often."""
        folder = source if source.is_dir() else source.parent
        for name, mark in self.files.items():
            try:
                status = os.stat(folder / name)
            except OSError:
                return f"{name} of the source is gone"
            if (status.st_size, status.st_mtime_ns) != (mark.size, mark.mtime_ns):
                return f"{name} of the source has changed"
        return None

    def difference(self, now: "Identity") -> str | None:
        """The first thing in which another identity differs, in words."""
        if now.source != self.source:
            return f"the source was {self.source}, it is {now.source}"
        for name in (*self.options, *now.options):
            was, given = self.options.get(name), now.options.get(name)
            if was != given:
                return f"the option {name} was {was}, it is {given}"
        for name in (*self.writer, *now.writer):
            if self.writer.get(name) != now.writer.get(name):
                return f"it was begun by version {self.writer.get(name)} of {name}, this is {now.writer.get(name)}"
        for name in (*self.files, *now.files):
            if name not in now.files or name not in self.files:
                return f"{name} of the source is {'gone' if name not in now.files else 'new'}"
            if self.files[name] != now.files[name]:
                return f"{name} of the source has changed"
        return None

    def change_but_for_new_files(self, now: "Identity") -> str | None:
        """The first thing in which the identity of a later conversion differs, in words, but for files that are new,
        for the files' times, and for what a file of splits says."""
        kept = {name: file for name, file in now.files.items() if name in self.files}
        as_were = {name: m.model_copy(update={"mtime_ns": self.files[name].mtime_ns}) for name, m in kept.items()}
        options = {name: _without_names(value) for name, value in now.options.items()}
        mine = self.model_copy(update={"options": {n: _without_names(v) for n, v in self.options.items()}})
        writer = {**self.writer, "format": now.writer.get("format", "")}
        return mine.difference(now.model_copy(update={"files": as_were, "options": options, "writer": writer}))


def _without_names(value: str) -> str:
    """An option's value, but for the runs that a file of splits names: what is appended is named too."""
    try:
        given = json.loads(value)
    except ValueError:  # of a record that came from elsewhere
        return value
    return json.dumps({"by": "file"}) if isinstance(given, dict) and given.get("by") == "file" else value


def writer_versions() -> dict[str, str]:
    """What decides the bytes beside source and options."""
    return {"format": WRITER, "zarr": version("zarr"), "numcodecs": version("numcodecs")}


def files_digest(source: Path) -> str:
    """The same for a copy of the source's files, with other times.

    Raises:
        UpsDataError: a file cannot be read.
    """
    return _digest({name: _mark(file) for name, file in _files(source)})


def _digest(files: Mapping[str, FileMark]) -> str:
    text = json.dumps([[name, mark.size, mark.ends] for name, mark in files.items()])
    return hashlib.sha256(text.encode()).hexdigest()


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """The source's files in the order of their names; hidden ones and notes beside the data do not count."""
    if source.is_file():
        yield source.name, source
        if (source.parent / "metadata.json").is_file():  # of particles
            yield "metadata.json", source.parent / "metadata.json"
        return
    for folder, folders, names in os.walk(source):
        inside_zarr = is_zarr(Path(folder))
        folders[:] = sorted(f for f in folders if inside_zarr or not f.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            counts = not name.startswith(".") and (file.suffix not in BESIDE or name == "metadata.json")
            if counts or inside_zarr:
                yield file.relative_to(source).as_posix(), file


def _mark(file: Path) -> FileMark:
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
            status = os.fstat(f.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UpsDataError(f"{file}: is no regular file, but a pipe, a socket or a device: give a file of data")
            ends = f.read(LOOKED_AT)
            f.seek(max(0, status.st_size - LOOKED_AT))
            ends += f.read(LOOKED_AT)
    except OSError as error:
        raise UpsDataError(f"{file}: cannot be read ({error.strerror}): check the path and its permissions") from None
    return FileMark(size=status.st_size, mtime_ns=status.st_mtime_ns, ends=hashlib.sha256(ends).hexdigest()[:16])
