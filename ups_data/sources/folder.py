"""Folders: of splits, of files with whole trajectories, of cases with a file per field."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import SPLITS, Source
from ups_data.sources.cases.case import CaseSource, are_cases
from ups_data.sources.joined.concat import ConcatSource
from ups_data.sources.listing import list_folder, named
from ups_data.sources.meshes.runs import RunsSource, is_run, parts_of_run
from ups_data.trajectory import Trajectory


def open_folder(
    path: Path,
    open_file: Callable[[Path], Source],
    format: str | None = None,
    *,
    keep_damaged: bool = False,
    concat: bool = False,
) -> Source:
    """The simulations in a folder, which holds either files or subfolders:

    - `train/`, `valid/` (or `val/`) and `test/`, each a folder of simulations: `SplitSource`; here or in the one
      subfolder (`data/`);
    - files of any known format, with whole trajectories: `FilesSource`; here or in subfolders;
    - a file per field, here or in subfolders, which are the cases: `CaseSource`.

    Args:
        open_file: what opens one file.
        format: `cases`, or that of the files; None: files are a case's if one of them is named like coordinates.
        keep_damaged: see `FilesSource`.
        concat: the files of each folder are one run, see `ConcatSource`.

    Raises:
        UpsDataError: nothing in it, files beside subfolders, or what the source of its contents says.
    """
    files, folders = _files_or_folders(path)
    if not files and len(folders) == 1 and folders[0].name not in SPLITS and _holds_splits(folders[0]):
        return open_folder(folders[0], open_file, format, keep_damaged=keep_damaged, concat=concat)
    splits = [folder for folder in folders if folder.name in SPLITS]
    if splits:
        _check_splits(path, splits, folders)
        opened = {folder.name: _open_leaves(folder, open_file, format, keep_damaged, concat) for folder in splits}
        return SplitSource(path, opened)
    return _open_leaves(path, open_file, format, keep_damaged, concat)


class SplitSource(Source):
    """Folders that are splits, `train` first; every trajectory gets its folder's split.

    Raises:
        UpsDataError: the splits have different formats.
    """

    def __init__(self, path: Path, sources: dict[str, Source]) -> None:
        super().__init__(path)
        self._sources = [(split, sources[name]) for name, split in SPLITS.items() if name in sources]
        self.format = _one_format(path, [source.format for _, source in self._sources])
        self._ends = list(accumulate(len(source) for _, source in self._sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int, /) -> Trajectory:
        place, number = _place(self._ends, number)
        split, source = self._sources[place]
        return replace(source[number], split=split)

    def splits(self) -> list[str | None]:
        """See `Source.splits`: the folder's name."""
        return [split for split, source in self._sources for _ in range(len(source))]


class FilesSource(Source):
    """Files of one format, each with whole trajectories: a `.npz`, `.pt`, `.h5` or mesh for each run or for many.

    Each file is opened to count its trajectories, and again when they are reached, so that any number of files may lie
    in a folder. Files named `train`, `valid` (or `val`) and `test` are these splits.

    Args:
        keep_damaged: a file that cannot be opened counts as one trajectory, and is an error only when that is reached.

    Raises:
        UpsDataError: a file cannot be read, formats differ, or only some files are named like splits.
    """

    def __init__(
        self, path: Path, files: list[Path], open_file: Callable[[Path], Source], *, keep_damaged: bool = False
    ) -> None:
        super().__init__(path)
        self._files, self._open_file = files, open_file
        named_splits = [SPLITS.get(file.stem) for file in files]
        if any(named_splits) and not all(named_splits):
            other = files[named_splits.index(None)]
            raise UpsDataError(f"{path}: holds files named like splits and {other.name}: move either elsewhere")
        _check_valid(path, {file.stem for file in files})
        formats, errors = [], []
        self._splits: list[list[str | None]] = []
        for file, split in zip(files, named_splits, strict=True):
            try:
                source = _open_or_hint(file, open_file)
            except UpsDataError as error:
                if not keep_damaged:
                    raise
                errors.append(error)
                self._splits.append([split])
                continue
            formats.append(source.format)
            self._splits.append([split] * len(source))
        if not formats:
            raise errors[0]
        self.format = _one_format(path, formats)
        self._ends = list(accumulate(map(len, self._splits)))
        self._opened: tuple[int, Source] | None = None  # the last one: trajectories are mostly asked for in order

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int, /) -> Trajectory:
        place, number = _place(self._ends, number)
        if self._opened is None or self._opened[0] != place:
            self._opened = None
            self._opened = place, self._open(place)
        return replace(self._opened[1][number], split=self._splits[place][number])

    def splits(self) -> list[str | None]:
        """See `Source.splits`."""
        return [split for splits in self._splits for split in splits]

    def _open(self, place: int) -> Source:
        source = _open_or_hint(self._files[place], self._open_file)
        if len(source) != len(self._splits[place]):
            raise UpsDataError(
                f"{self._files[place]}: has {len(source)} trajectories, it had {len(self._splits[place])} before: "
                "leave the files alone while they are read"
            )
        return source


def _place(ends: list[int], number: int) -> tuple[int, int]:
    """Of trajectory `number` of a row of sources that end so: which source, and its number there."""
    number = range(ends[-1])[number]
    place = bisect_right(ends, number)
    return place, number - (ends[place - 1] if place else 0)


def _open_leaves(
    path: Path, open_file: Callable[[Path], Source], format: str | None, keep_damaged: bool, concat: bool
) -> Source:
    _, folders = list_folder(path)
    if folders and all((folder / "system/controlDict").is_file() for folder in folders):  # cases of OpenFOAM
        return FilesSource(path, folders, open_file, keep_damaged=keep_damaged)
    leaves = list(_leaves(path))
    if concat:
        runs = dict(leaves)

        def open_run(folder: Path) -> Source:
            return ConcatSource(folder, runs[folder], open_file)

        return FilesSource(path, list(runs), open_run) if len(runs) > 1 else open_run(leaves[0][0])
    if format == CaseSource.format or (format is None and are_cases(leaves)):
        return CaseSource(path, folders=[folder for folder, _ in leaves])
    if len(leaves) > 0 and all(parts_of_run(folder, files) for folder, files in leaves):
        return RunsSource(path, leaves, open_file)
    files = [file for _, of_leaf in leaves for file in of_leaf]
    return FilesSource(path, files, open_file, keep_damaged=keep_damaged)


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
    named_by = {file.name for file in files if file.suffix == ".pvd"}  # `run.pvd` names the files of the folder `run`
    folders = [folder for folder in folders if f"{folder.name}.pvd" not in named_by]
    if not files and not folders:
        raise UpsDataError(f"{path}: a folder that holds no data: add files or remove it")
    split = next((file for file in files if file.suffix == ".part"), None)
    if split is not None:
        whole = split.name.split(".")[0]
        raise UpsDataError(
            f"{split}: is a part of a file that was split: join them, cat {whole}.*.part > {whole}.vtu, and move the "
            "parts elsewhere"
        )
    if is_run(path, files):
        return files, []  # pictures and slices beside the meshes, which are listed
    if files and folders:
        raise UpsDataError(
            f"{path}: holds files ({named(files)}) beside folders ({named(folders)}): "
            "which are the simulations? move the others elsewhere"
        )
    return files, folders


def _holds_splits(folder: Path) -> bool:
    return any(inner.name in SPLITS for inner in list_folder(folder)[1])


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
