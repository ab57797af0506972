"""What a dataset may claim at most: it may come from anywhere, so nothing is allocated on its word alone.

Far above what anybody writes, and far below what would take a machine down.
"""

JSON_BYTES = 128 * 1024**2  # of the manifest, of a shard's seal
# Of a file of JSON, as Python takes up to a hundred bytes for each: "[]," becomes 64.
JSON_VALUES = 12_000_000
JSON_KEYS = 2_000_000  # and lists
METADATA_BYTES = 16 * 1024**2  # of one zarr.json
TABLE_BYTES = 2 * 1024**3  # of a table of a shard, stored
# What blosc compresses at once, and the most that is decoded because metadata say so.
CHUNK_BYTES = 2**31 - 1
POINTS = 2**31 - 1  # of a frame: their numbers are stored as int32
FRAMES = 2**27  # of a dataset
# Claims of no more than this are believed; larger ones are compared with the bytes of the shards, which are decoded to
# at most so many times as many. zstd makes of constants more than this, simulations less than a tenth of it.
BELIEVED_FRAMES = 2**20
BELIEVED_BYTES = 256 * 1024**2  # of a frame
EXPANSION = 1000
FRAME_BYTES = 64 * 1024**3  # of one field, decoded
CHANNELS = 2**16
FIELDS = 1000  # and parameters
TEXT = 10_000  # characters of a path, a unit, what was made from what
