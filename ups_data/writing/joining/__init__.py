"""More trajectories for a dataset that is there: statistics pooled, shards of several datasets in one."""
