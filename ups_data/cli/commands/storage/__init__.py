"""Commands about where a dataset lies."""
