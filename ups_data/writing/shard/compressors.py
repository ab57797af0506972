"""How zarr's metadata name the codecs of a chunk."""

from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

from ups_data.store.arrays.codecs import LEVELS


def zarr_compressors(codec: str, itemsize: int) -> list[BytesBytesCodec]:
    """The codec as zarr's array metadata state it."""
    if codec == "none":
        return [Crc32cCodec()]
    return [BloscCodec(cname=codec, clevel=LEVELS[codec], shuffle="shuffle", typesize=itemsize), Crc32cCodec()]  # type: ignore[arg-type]
