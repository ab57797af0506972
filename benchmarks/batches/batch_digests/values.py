"""Numbers that every machine makes alike: whole ones, divided by a power of two."""

import numpy as np


def frames(seed: int, steps: int, shape: tuple[int, ...], channels: int) -> np.ndarray:
    """Frames `(T, *shape, C)` float32 of small whole numbers / 256, eight times as large in a stretch of the first axis
    that moves from frame to frame, so that importance has something to prefer. float16 holds them exactly."""
    whole = np.random.default_rng(seed).integers(-1024, 1024, (steps, *shape, channels))
    values = whole.astype(np.float32) / np.float32(256)
    width = max(1, shape[0] // 4)
    for step in range(steps):
        start = (5 * step + 7 * seed) % (shape[0] - width + 1)
        values[step, start : start + width] *= 8
    return values


def positions(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Coordinates in [0, 1), float32, whole numbers / 65536."""
    whole = np.random.default_rng(seed).integers(0, 65536, shape)
    return whole.astype(np.float32) / np.float32(65536)


def paths(seed: int, steps: int, points: int, dim: int) -> np.ndarray:
    """Positions `(T, N, d)` of points that move a little with every step."""
    start, move = positions(seed, (points, dim)), positions(seed + 1, (points, dim)) - np.float32(0.5)
    return np.stack([start + np.float32(step / 64) * move for step in range(steps)])
