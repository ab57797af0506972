"""Which split each run, or each part of a run, goes to: by time, by region, by parameter, by a file of names."""
