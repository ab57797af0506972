"""The loader on a slow store and on cold files, against what the same ranges cost alone and against other readers."""
