"""What a loader did and where its time went."""

from dataclasses import dataclass, fields


@dataclass
class LoaderStats:
    """Totals. `wait_seconds` is the consumer's time; the others are summed over the loader's threads.

    Attributes:
        batches, samples: handed out.
        wait_seconds: the consumer waited for a batch.
        fetch_seconds: opening, reading and checking stored bytes (a mapped chunk is read where it is first checked).
        decode_seconds: decompressing.
        draw_seconds: drawing points.
        assemble_seconds: copying into batches.
        decoded_chunks, decoded_bytes: of compressed data; raw data are used where they are mapped.
    """

    batches: int = 0
    samples: int = 0
    wait_seconds: float = 0.0
    fetch_seconds: float = 0.0
    decode_seconds: float = 0.0
    draw_seconds: float = 0.0
    assemble_seconds: float = 0.0
    decoded_chunks: int = 0
    decoded_bytes: int = 0

    def __sub__(self, earlier: "LoaderStats") -> "LoaderStats":
        """What happened since `earlier`."""
        return LoaderStats(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})
