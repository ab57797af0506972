"""PDEBench's HDF5 files, a file for each of its layouts."""
