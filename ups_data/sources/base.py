"""What every reader of raw simulations is."""

from collections.abc import Iterator
from typing import Protocol

from ups_data.trajectory import Trajectory

AXIS_NAMES = ("x", "y", "z")
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}  # name of a file or folder → split


class Source(Protocol):
    """A file or folder of raw simulations in one format."""

    format: str

    def __len__(self) -> int:
        """Number of trajectories, known without reading them."""
        ...

    def __getitem__(self, number: int, /) -> Trajectory:
        """One trajectory, opened now; asked for in order, each costs what it holds and no more."""
        ...

    def __iter__(self) -> Iterator[Trajectory]:
        """The trajectories in the source's order, each opened only when it is reached."""
        ...

    def splits(self) -> list[str | None]:
        """The split that the source assigns to each trajectory, None where it assigns none."""
        ...


class Numbered:
    """Iteration for a source that opens its trajectories by number."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, number: int, /) -> Trajectory:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Trajectory]:
        return (self[number] for number in range(len(self)))


def number_key(number: int, count: int) -> str:
    """`0000`, `0001` … for trajectories that the file only numbers."""
    return f"{number:0{max(4, len(str(count - 1)))}d}"
