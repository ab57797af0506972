"""A second batch of runs for a dataset that is there: the same command adds shards and leaves the old ones alone."""
