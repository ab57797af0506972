"""Trajectories → shards: layout, statistics, importance, arrays. Nothing here knows where trajectories come from."""
