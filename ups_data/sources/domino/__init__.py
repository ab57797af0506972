"""Zarr groups of one car or aircraft each, as PhysicsNeMo's curator writes them for DoMINO."""
