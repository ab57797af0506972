"""What every reader of raw simulations is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ups_data.sources.content import Content
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.trajectory import Trajectory

AXIS_NAMES = ("x", "y", "z")
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}  # name of a file or folder → split


class Source(ABC):
    """A file or folder of raw simulations in one format.

    A source says how many trajectories there are and opens one at a time. It names fields, times, axes or coordinates,
    parameters and units as the file has them, and raises `UpsDataError` in one line for what it cannot read.

    It is not a source's job to normalise, to cast, to draw points, to shuffle, to choose splits that the data do not
    have, to hold a trajectory in memory (an array in `fields` may be read when it is sliced, see `LazyArray`), or to
    know of shards and tensors.

    A subclass names its `format` and implements `recognises`, `__len__` and `__getitem__`:

        class Csv(Source):
            format = "csv"

            @staticmethod
            def recognises(content):
                return content.head.startswith(b"# heat,")

            def __len__(self):
                return 1

            def __getitem__(self, number):
                u = np.loadtxt(self.path, delimiter=",", skiprows=1, dtype=np.float32)
                return Trajectory(key=self.path.stem, source=str(self.path), fields={"u": u[:, :, None]})

    `register_source` or an entry point of the group `ups_data.sources` makes it known; docs: add-a-source.md.

    Args:
        path: the file, or the folder if the format is one of folders.
        options: what the user decided about reading.
    """

    format: str
    named_dims = False  # whether `options.select` and `options.stack` mean anything to it

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        self.path, self.options = Path(path), options

    @staticmethod
    def recognises(content: Content) -> bool:
        """Whether a file or folder of this content is of this format. Default: never; it is read if it is named."""
        return False

    @abstractmethod
    def __len__(self) -> int:
        """Number of trajectories, known without reading them."""

    @abstractmethod
    def __getitem__(self, number: int, /) -> Trajectory:
        """One trajectory, opened now; asked for in order, each costs what it holds and no more."""

    def __iter__(self) -> Iterator[Trajectory]:
        """The trajectories in the source's order, each opened only when it is reached."""
        return (self[number] for number in range(len(self)))

    def splits(self) -> list[str | None]:
        """The split that the source assigns to each trajectory; default: None, it assigns none."""
        return [None] * len(self)


def number_key(number: int, count: int) -> str:
    """`0000`, `0001` … for trajectories that the file only numbers."""
    return f"{number:0{max(4, len(str(count - 1)))}d}"


def units_of(attribute: Any) -> str | None:
    """A file's attribute `units` as text; None if there is none, or if it is not a line that a person would write."""
    if isinstance(attribute, bytes):
        attribute = attribute.decode(errors="replace")
    if not isinstance(attribute, str):
        return None
    text = attribute.strip()
    return text if text.isprintable() and 0 < len(text) <= 100 else None
