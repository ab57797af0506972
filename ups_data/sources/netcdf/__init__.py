"""Files whose dimensions have names: NetCDF and zarr, read by xarray."""
