"""What training feeds back to a loader: errors of queries, averaged over tiles."""
