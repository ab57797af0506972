"""A folder whose subfolders are the splits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.base import Source
from ups_data.trajectory import Trajectory

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}
BESIDE = {".yaml", ".yml", ".json", ".md", ".txt"}  # notes and statistics that lie beside data


class FolderSource:
    """`train/`, `valid/` (or `val/`) and `test/` with files of any known format, in the order of their names.

    Every trajectory gets its folder's split. Hidden files and those with an ending in BESIDE are passed over; any other
    file must be data, so that a damaged one is an error rather than a gap.

    Args:
        open_file: what opens one file.

    Raises:
        UpsDataError: no such subfolder, one without files, both `valid` and `val`, or a file that cannot be read.
    """

    def __init__(self, path: Path, open_file: Callable[[Path], Source]) -> None:
        found = {name: path / name for name in SPLITS if (path / name).is_dir()}
        if not found:
            inside = sorted(item.name for item in path.iterdir())
            raise UpsDataError(
                f"{path}: a folder with {', '.join(inside[:8]) or 'nothing'} in it; give one file, or a folder with "
                "the subfolders train, valid and test"
            )
        if {"valid", "val"} <= found.keys():
            raise UpsDataError(f"{path}: holds valid and val, which are the same split: put their files into one")
        self._sources: list[tuple[str, Source]] = []
        for name, folder in found.items():
            files = [file for file in sorted(folder.iterdir()) if _is_data(file)]
            if not files:
                raise UpsDataError(f"{folder}: holds no data: add files or remove the folder")
            self._sources += [(SPLITS[name], open_file(file)) for file in files]
        self.format = self._sources[0][1].format

    def __len__(self) -> int:
        return sum(len(source) for _, source in self._sources)

    def __iter__(self) -> Iterator[Trajectory]:
        for split, source in self._sources:
            for trajectory in source:
                yield replace(trajectory, split=split)

    def splits(self) -> list[str | None]:
        return [split for split, source in self._sources for _ in range(len(source))]


def _is_data(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix not in BESIDE
