"""The stored arrays of a shard: this project's layout read directly, any other through zarr."""
