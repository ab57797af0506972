"""What a block of samples needs of the store, as data: `Wanted` before anything is read, `Fetched` once it is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ups_data.batch.frames import Chunks, Frames, Read, joined_chunks
from ups_data.sampling import Draw, Stream


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """Frames of one field that become one tensor of a batch.

    Attributes:
        draw: whose points are copied, a row for each frame; None: whole frames.
        read: what has to be fetched for it.
    """

    frames: Frames
    draw: Draw | None
    read: Read


@dataclass(frozen=True, slots=True)
class SetCopies:
    """The copies that make the encoder's input, or one query set. A copy that two sets have in common is made once.

    Attributes:
        values: of each field.
        coords, index: of points whose positions, or whose numbers, are stored and needed; None: nothing is read.
        sizes: of the points' cells, where weights estimate integrals and they are stored.
    """

    values: Mapping[str, Copy]
    coords: Copy | None = None
    index: Copy | None = None
    sizes: Copy | None = None

    def __iter__(self) -> Iterator[Copy]:
        yield from (c for c in (self.index, self.coords, self.sizes, *self.values.values()) if c is not None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The reads of a block, in the order in which they are used, and the copies that use them.

    Attributes:
        reads: every one once.
        sets: of the encoder's input (`Stream.INPUTS`) and of each query set; empty where the reads are those that the
            draws themselves need.
    """

    reads: Sequence[Read]
    sets: Mapping[Stream, SetCopies] = field(default_factory=dict)

    def chunks(self) -> list[Chunks]:
        """Stored arrays and the numbers of their chunks, `(n,)` int64, ascending: each array and each chunk once.

        for array, numbers in wanted(block, draw(block)).chunks():
            print(array.shape, numbers)
        """
        return joined_chunks([chunks for read in self.reads for chunks in read.chunks])


@dataclass(frozen=True, slots=True)
class Fetched:
    """A block's reads, made. What they hold stays in memory as long as this does.

    Attributes:
        sources: of each read of `wanted` what is copied from; see `Read.assemble`.
    """

    wanted: Wanted
    sources: Mapping[Read, Any]

    def source(self, read: Read) -> Any:
        """What the frames of a read copy from; of frames in memory these themselves."""
        return self.sources[read] if read.chunks else read.assemble(())


class Fetches(Protocol):
    """Makes reads: the pool of a reader."""

    def fetch(self, wanted: Wanted) -> Fetched:
        """Make those reads now.

        Raises:
            UpsDataError: the stored bytes are damaged, or not there.
        """
        ...
