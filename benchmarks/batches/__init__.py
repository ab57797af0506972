"""Whether two commits make the same batches."""
