"""Predictions of every point of a split: chunks of points, steps of a rollout."""
