"""noether's stores of zarr."""
