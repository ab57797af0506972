"""Who does the work: threads, worker processes, and the memory that batches lie in."""
