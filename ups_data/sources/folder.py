"""Folders: of splits, of files with whole trajectories, of cases with a file per field."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import SPLITS, Source
from ups_data.sources.case import CaseSource, are_cases
from ups_data.sources.listing import list_folder, named
from ups_data.trajectory import Trajectory


def open_folder(path: Path, open_file: Callable[[Path], Source], format: str | None = None) -> Source:
    """The simulations in a folder, which holds either files or subfolders:

    - `train/`, `valid/` (or `val/`) and `test/`, each a folder of simulations: `SplitSource`;
    - files of any known format, with whole trajectories: `FilesSource`; here or in subfolders;
    - a file per field, here or in subfolders, which are the cases: `CaseSource`.

    Args:
        open_file: what opens one file.
        format: `cases`, or that of the files; None: files are a case's if one of them is named like coordinates.

    Raises:
        UpsDataError: nothing in it, files beside subfolders, or what the source of its contents says.
    """
    _, folders = _files_or_folders(path)
    splits = [folder for folder in folders if folder.name in SPLITS]
    if splits:
        _check_splits(path, splits, folders)
        return SplitSource(path, {folder.name: _open_leaves(folder, open_file, format) for folder in splits})
    return _open_leaves(path, open_file, format)


class SplitSource:
    """Folders that are splits, `train` first; every trajectory gets its folder's split.

    Raises:
        UpsDataError: the splits have different formats.
    """

    def __init__(self, path: Path, sources: dict[str, Source]) -> None:
        self._sources = [(split, sources[name]) for name, split in SPLITS.items() if name in sources]
        self.format = _one_format(path, [source.format for _, source in self._sources])

    def __len__(self) -> int:
        return sum(len(source) for _, source in self._sources)

    def __iter__(self) -> Iterator[Trajectory]:
        for split, source in self._sources:
            for trajectory in source:
                yield replace(trajectory, split=split)

    def splits(self) -> list[str | None]:
        return [split for split, source in self._sources for _ in range(len(source))]


class FilesSource:
    """Files of one format, each with whole trajectories: a `.npz`, `.pt`, `.h5` or mesh for each run or for many.

    Each file is opened to count its trajectories, and again when they are reached, so that any number of files may lie
    in a folder. Files named `train`, `valid` (or `val`) and `test` are these splits.

    Raises:
        UpsDataError: a file cannot be read, formats differ, or only some files are named like splits.
    """

    def __init__(self, path: Path, files: list[Path], open_file: Callable[[Path], Source]) -> None:
        self._files, self._open = files, open_file
        named_splits = [SPLITS.get(file.stem) for file in files]
        if any(named_splits) and not all(named_splits):
            other = files[named_splits.index(None)]
            raise UpsDataError(f"{path}: holds files named like splits and {other.name}: move either elsewhere")
        _check_valid(path, {file.stem for file in files})
        formats = []
        self._splits: list[list[str | None]] = []
        for file, split in zip(files, named_splits, strict=True):
            source = _open_or_hint(file, open_file)
            formats.append(source.format)
            self._splits.append([split] * len(source))
        self.format = _one_format(path, formats)

    def __len__(self) -> int:
        return sum(map(len, self._splits))

    def __iter__(self) -> Iterator[Trajectory]:
        for file, splits in zip(self._files, self._splits, strict=True):
            for trajectory, split in zip(self._open(file), splits, strict=True):
                yield replace(trajectory, split=split)

    def splits(self) -> list[str | None]:
        return [split for splits in self._splits for split in splits]


def _open_leaves(path: Path, open_file: Callable[[Path], Source], format: str | None) -> Source:
    leaves = list(_leaves(path))
    if format == CaseSource.format or (format is None and are_cases(leaves)):
        return CaseSource(path, [folder for folder, _ in leaves])
    return FilesSource(path, [file for _, files in leaves for file in files], open_file)


def _open_or_hint(file: Path, open_file: Callable[[Path], Source]) -> Source:
    try:
        return open_file(file)
    except UpsDataError as error:
        if file.suffix in (".npy", ".pt", ".th"):  # the reader of single files cannot know
            hint = "a folder with a file per field needs one of coordinates, named position or <set>_position"
            raise UpsDataError(f"{error}; {hint}") from error
        raise


def _leaves(path: Path) -> Iterator[tuple[Path, list[Path]]]:
    """The folders at or under `path` that hold files, with their files."""
    files, folders = _files_or_folders(path)
    if files:
        yield path, files
    for folder in folders:
        yield from _leaves(folder)


def _files_or_folders(path: Path) -> tuple[list[Path], list[Path]]:
    files, folders = list_folder(path)
    if not files and not folders:
        raise UpsDataError(f"{path}: a folder that holds no data: add files or remove it")
    if files and folders:
        raise UpsDataError(
            f"{path}: holds files ({named(files)}) beside folders ({named(folders)}): "
            "which are the simulations? move the others elsewhere"
        )
    return files, folders


def _check_splits(path: Path, splits: list[Path], folders: list[Path]) -> None:
    others = [folder for folder in folders if folder not in splits]
    if others:
        raise UpsDataError(
            f"{path}: holds splits ({named(splits)}) beside other folders ({named(others)}): move those elsewhere"
        )
    _check_valid(path, {folder.name for folder in splits})


def _check_valid(path: Path, names: set[str]) -> None:
    if {"valid", "val"} <= names:
        raise UpsDataError(f"{path}: holds valid and val, which are the same split: put their files into one")


def _one_format(path: Path, formats: list[str]) -> str:
    if len(set(formats)) > 1:
        raise UpsDataError(
            f"{path}: holds files of the formats {', '.join(sorted(set(formats)))}: convert each from its own folder"
        )
    return formats[0]
