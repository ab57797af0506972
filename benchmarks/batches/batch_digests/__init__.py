"""SHA-256 digests of all that loaders hand out, over many configurations: whether two commits make the same batches."""
