"""Stored chunks → samples: the pool, frames, geometries, importance, and what is left out as damaged."""
