"""Commands that take a dataset or raw simulations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ups_data.schema import MANIFEST


@contextmanager
def as_dataset(data: Path, folder: Path, split: str) -> Iterator[Path]:
    """A dataset itself; simulations as a dataset in `folder`, all of them in one split, stored as float32.

    Raises:
        UpsDataError: neither a dataset nor simulations that can be read.
    """
    if (data / MANIFEST).exists():
        yield data
        return
    from ups_data.conversion.convert import convert

    convert(data, folder, split={split: 1.0}, cast="float32")
    yield folder
