"""Commands about how many points to draw."""
