"""Conversions to a store: shards are written aside in a local folder, and uploaded when they are finished."""
