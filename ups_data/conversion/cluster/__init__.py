"""Conversions beyond one machine: the tasks of a conversion on a Dask cluster (extra `dask`)."""
