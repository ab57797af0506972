"""Worker processes: what they run, how they are asked, and how batches come from them."""
