"""What blocks cost on disk: a source converted in several ways, weighed and thrown away."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ups_data.conversion.convert import convert


@dataclass(frozen=True)
class Weight:
    """Bytes of all shards of a dataset, and how they compare with the same without blocks."""

    codec: str
    blocks: int
    bytes: int
    ratio: float


def weigh(
    path: str | Path, blocks: Sequence[int], *, codecs: Sequence[str] = ("none", "lz4", "zstd"), **options: object
) -> Iterator[Weight]:
    """Convert a source with each codec, without blocks and with each number of them, into a temporary folder.

    Args:
        path: the source.
        blocks: numbers of blocks to try; 1 is always the first.
        options: of `convert`.

    Raises:
        UpsDataError: the source cannot be converted so.
    """
    for codec in codecs:
        whole = 0
        for number in dict.fromkeys((1, *blocks)):
            with tempfile.TemporaryDirectory(prefix="ups_data-") as folder:
                manifest = convert(path, Path(folder) / "d", codec=codec, blocks=number, **options)  # type: ignore[arg-type]
            size = sum(shard.bytes for split in manifest.splits.values() for shard in split.shards)
            whole = whole or size
            yield Weight(codec, number, size, size / whole)
