"""A trajectory's frames as they are to be stored, piece by piece."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.schema import FieldSpec
from ups_data.writing.casting import cast_exactly
from ups_data.writing.layout import Layout
from ups_data.writing.run import Run
from ups_data.writing.shard.masks import READ_BYTES, SetMasks, filled


def stored_frames(
    run: Run, layout: Layout, allow_nonfinite: bool, masks: Mapping[str | None, SetMasks]
) -> Iterator[tuple[FieldSpec, np.ndarray, NDArray[np.bool_] | None]]:
    """A trajectory's frames as they are to be stored, `(n, *grid or N, C)`: pieces of one field after another, and
    `(n, N)`, which of their points count; None: all.

    Args:
        masks: of the trajectory, see `masks_of`; points that do not count hold `mask_fill`.

    Raises:
        UpsDataError: a value is not finite or overflows.
    """
    parts = []
    for spec in layout.specs:
        shape = (1, *run.static[spec.name].shape) if spec.static else run.fields[spec.name].shape
        row_bytes = int(np.prod(shape[1:])) * np.dtype(spec.dtype).itemsize
        parts += [(start, stop, spec) for start, stop in pieces(shape[0], row_bytes, spec.chunk_rows)]
    # All fields of the first frames first: the importance of a frame is of all of them.
    for start, stop, spec in sorted(parts, key=lambda piece: piece[0]):
        where = f"field {spec.name!r} of {run.where}"
        frames = np.asarray(run.static[spec.name][:][None] if spec.static else run.fields[spec.name][start:stop])
        of_set = masks.get(spec.point_set)
        counted = None if of_set is None else of_set.any_frame() if spec.static else of_set.frames(start, stop)
        if counted is not None and not layout.options.keeps_nan:  # NaN is no value to be cast or refused
            frames = filled(frames, counted, layout.options.mask_fill)
        if not allow_nonfinite and not np.isfinite(frames).all():
            bad = ~np.isfinite(frames)
            frame = start + int(np.argmax(bad.reshape(len(bad), -1).any(1)))
            raise UpsDataError(
                f"{where} has {int(bad.sum())} values that are NaN or Inf (first in frame {frame}): "
                "repair it, leave such points out of draws and statistics with --mask-nan, or keep and count them with "
                "--allow-nonfinite"
            )
        frames = cast_exactly(frames, np.dtype(spec.dtype), where)
        yield spec, frames, counted
        del frames


def pieces(rows: int, row_bytes: int, chunk_rows: int = 1) -> list[tuple[int, int]]:
    """The rows to read at once: whole chunks, up to `READ_BYTES`."""
    piece = chunk_rows * max(1, READ_BYTES // (chunk_rows * row_bytes))
    return [(start, min(start + piece, rows)) for start in range(0, rows, piece)]
