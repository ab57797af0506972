"""A source → a dataset: plan, one task for each shard, and how it goes on after a stop."""
