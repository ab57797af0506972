"""HDF5: a gate for what lies elsewhere, whether data were written, lazy reads."""
