"""The datasets by name, whoever makes them."""

from collections.abc import Iterable
from pathlib import Path

from . import padded
from .converted import CONVERTED, convert
from .written import WRITTEN, make

DATASETS = (*WRITTEN, *CONVERTED)


def ensure(names: Iterable[str], folder: Path, checkout: Path | None, *, padded_chunks: bool = False) -> None:
    """Make those of the datasets `folder/name` that are not there yet.

    Args:
        checkout: whose tool converts; None where only written datasets are asked for.
        padded_chunks: fill up chunks of arrays that are shorter, as commits did that did not shorten them.
    """
    if padded_chunks:
        padded.fill_up()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (folder / name / "dataset.json").exists():
            continue
        if name in WRITTEN:
            make(name, folder / name)
        elif checkout is None:
            raise ValueError(f"dataset {name} is converted, which needs a checkout's tools")
        else:
            convert(name, folder, checkout, [str(padded.__file__)] if padded_chunks else [])
