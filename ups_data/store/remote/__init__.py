"""Datasets behind a URL: object stores and web servers, read by ranges."""
