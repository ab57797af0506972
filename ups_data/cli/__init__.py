"""The command line: `ups-data convert`, `inspect`, `verify`, `train`, and more."""
