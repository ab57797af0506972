"""A small dataset on disk: waves that travel, on a periodic grid; enough to learn something in seconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ups_data import ShardWriter


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and on a busy machine lose a factor of 30 waiting for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def travelling_waves(rng: np.random.Generator, steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """`(steps, *shape, 1)`: a sum of low waves moving along the last axis, a twentieth of it a step."""
    axes = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    time = np.arange(steps).reshape(-1, *[1] * len(shape))
    u = np.zeros((steps, *shape))
    for k in (1, 2):
        phase = sum(rng.integers(0, 2) * a for a in axes[:-1]) + k * (axes[-1] - time / 20)
        u += rng.normal() * np.sin(2 * np.pi * (phase + rng.random()))
    return (3.0 + 2.0 * u)[..., None].astype(np.float32)


@pytest.fixture(scope="session")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 × 16, 6 training and 2 validation trajectories of 6 steps, parameter `nu`."""
    root = tmp_path_factory.mktemp("data") / "waves"
    rng = np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for i in range(8):
            u = travelling_waves(rng, 6, (16, 16))
            split = "train" if i < 6 else "valid"
            writer.add(fields={"u": u}, split=split, time=0.5 * np.arange(6), params={"nu": float(i)})
    return root


@pytest.fixture(scope="session")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 × 10, fields `a` (in) and `b` = 1 - 2a (out), no time: one frame per trajectory."""
    root = tmp_path_factory.mktemp("data") / "static"
    rng = np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for i in range(20):
            a = travelling_waves(rng, 1, (12, 10))
            writer.add(fields={"a": a, "b": 1 - 2 * a}, split="train" if i < 16 else "valid")
    return root
