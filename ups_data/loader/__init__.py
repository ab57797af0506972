"""Batches for a training loop: pipeline, loader, mixture, device, state, feedback."""
