"""Chunks of blosc in zarr groups of both versions: their headers are looked at before they are decoded.

See `ups_data.schema.blosc_header`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numcodecs.blosc import Blosc
from numcodecs.registry import register_codec as register_old
from zarr import config
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from ups_data.schema.blosc_header import claimed_size
from ups_data.sources.netcdf import bombs


class OldBlosc(Blosc):
    """Of version 2. For the whole process: chunks that are sound are decoded as ever."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """As numcodecs, of a chunk whose header claims nothing that is not there.

        Raises:
            ValueError: it does.
        """
        chunk = np.asarray(memoryview(buf)).tobytes()
        claimed_size(chunk)
        return super().decode(chunk, out)


class NewBlosc(BloscCodec):
    """Of version 3."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        chunk = chunk_bytes.to_bytes()
        claimed_size(chunk)
        return await super()._decode_single(chunk_spec.prototype.buffer.from_bytes(chunk), chunk_spec)


register_old(OldBlosc, "blosc")
register_codec("blosc", NewBlosc)


@contextmanager
def chunks_looked_at() -> Iterator[None]:
    """Arrays that are opened inside look at their chunks."""
    with config.set({"codecs.blosc": f"{NewBlosc.__module__}.{NewBlosc.__qualname__}", **bombs.CODECS}):
        yield
