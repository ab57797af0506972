"""Shapes of different sizes, with two sets of points; and points that move."""

import numpy as np
import pytest
import torch

from ups_data import ShardWriter
from ups_data.trajectory import PointSet


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Ellipses: `p` and `normal` on the surface, `u` around it; smooth functions of shape, place and the parameter."""
    root, rng = tmp_path_factory.mktemp("shapes") / "ds", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for number in range(10):
            wide, angle = rng.uniform(0.5, 1.5), rng.uniform(-1, 1)
            around = np.sort(rng.uniform(0, 2 * np.pi, 20 + number))
            surface = np.stack([wide * np.cos(around), np.sin(around)], axis=-1)
            volume = rng.uniform(-3, 3, (50 + 3 * number, 2))
            normal = np.stack([np.cos(around), wide * np.sin(around)], axis=-1)
            p = wide * np.sin(around + angle)
            u = volume * angle / (1 + (volume**2).sum(-1, keepdims=True))
            frames = {"p": p[:, None], "normal": normal, "u": u}
            frames = {name: values[None].astype(np.float32) for name, values in frames.items()}
            sets = {
                "surface": PointSet(surface.astype(np.float32), {n: frames[n] for n in ("p", "normal")}),
                "volume": PointSet(volume.astype(np.float32), {"u": frames["u"]}),
            }
            writer.add(sets=sets, params={"angle": angle}, split="train" if number < 8 else "valid")
    return root


@pytest.fixture(scope="session")
def swarm(tmp_path_factory):
    """Points that move along circles, with a field `v`, in four frames."""
    root, rng = tmp_path_factory.mktemp("swarm") / "ds", np.random.default_rng(1)
    with ShardWriter(root) as writer:
        for number in range(4):
            radius, phase = rng.uniform(0.2, 1, (2, 30 + number))
            angle = phase[None] * 6 + 0.3 * np.arange(4)[:, None]
            coords = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).astype(np.float32)
            writer.add(
                {"v": np.roll(coords, 1, axis=-1)},
                coords=coords,
                time=0.1 * np.arange(4),
                split="train" if number < 3 else "valid",
            )
    return root


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)
