"""Writing to stores of any kind: large objects, objects that must be new, whole datasets."""
