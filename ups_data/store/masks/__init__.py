"""Which points of a shard count, frame by frame."""
