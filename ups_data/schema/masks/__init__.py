"""Which points count, as a manifest lists it."""
