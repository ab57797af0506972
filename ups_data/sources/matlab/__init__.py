"""MATLAB's files of arrays: version 5 by scipy, version 7.3, which is HDF5, by h5py."""
