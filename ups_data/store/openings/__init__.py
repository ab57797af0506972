"""What a loader reads of every shard before its first batch, in one object for each split."""
