"""What a dataset may claim at most: it may come from anywhere, so nothing is allocated on its word alone.

Far above what anybody writes, and far below what would take a machine down.
"""

JSON_BYTES = 128 * 1024**2  # of the manifest, of a shard's seal
METADATA_BYTES = 16 * 1024**2  # of one zarr.json
TABLE_BYTES = 2 * 1024**3  # of a table of a shard, stored
# What blosc compresses at once, and the most that is decoded because metadata say so.
CHUNK_BYTES = 2**31 - 1
POINTS = 2**31 - 1  # of a frame: their numbers are stored as int32
FRAMES = 2**27  # of a dataset
FRAME_BYTES = 64 * 1024**3  # of one field, decoded
CHANNELS = 2**16
FIELDS = 1000  # and parameters
TEXT = 10_000  # characters of a path, a unit, what was made from what
