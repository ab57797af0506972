"""What a dataset may claim at most: it may come from anywhere, so nothing is allocated on its word alone.

Far above what anybody writes, and far below what would take a machine down.
"""

JSON_BYTES = 128 * 1024**2  # of the manifest, of a shard's seal
METADATA_BYTES = 16 * 1024**2  # of one zarr.json
TABLE_BYTES = 2 * 1024**3  # of a table of a shard, stored
# What blosc compresses at once, and the most that is decoded because metadata say so.
CHUNK_BYTES = 2**31 - 1
