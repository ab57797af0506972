"""Points of stored blocks that are looked up by their numbers."""
