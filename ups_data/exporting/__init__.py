"""Datasets as files that others read: VTK, NetCDF, The Well's HDF5, noether's store of zarr."""

from ups_data.exporting.run import FORMATS, Exported, export_dataset

__all__ = ["FORMATS", "Exported", "export_dataset"]
