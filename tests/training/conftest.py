"""A small dataset on disk: waves that travel, on a periodic grid; enough to learn something in seconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.points_model import clouds_config, clouds_model, several_config, several_model
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.training import train
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ups_data.trajectory import PointSet


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


SPLITS = ("train", "train", "test", "test", "test", "test", "test")


def cloud(rng: np.random.Generator, points: int) -> np.ndarray:
    return rng.random((points, 2)).astype(np.float32)


def smooth(coords: np.ndarray, steps: int, phase: float) -> np.ndarray:
    """`(T, N, 1)`."""
    time = np.arange(steps)[:, None]
    return (2 + np.sin(6 * coords[:, 0] + phase + 0.3 * time) * np.cos(4 * coords[:, 1]))[..., None].astype(np.float32)


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clouds of different sizes, in blocks, three frames each; `area` holds the area of every point."""
    root, rng = tmp_path_factory.mktemp("data") / "clouds", np.random.default_rng(1)
    with ShardWriter(root, blocks=4) as writer:
        for number, split in enumerate(SPLITS):
            points = cloud(rng, 90 + 7 * number)
            fields, area = {"p": smooth(points, 3, number)}, np.full((len(points), 1), 1 / len(points), np.float32)
            writer.add(fields, split=split, coords=points, static={"area": area})
    return root


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A surface and a volume, each of another size in every run; one frame."""
    root, rng = tmp_path_factory.mktemp("data") / "several", np.random.default_rng(2)
    with ShardWriter(root) as writer:
        for number, split in enumerate(SPLITS):
            surface, volume = cloud(rng, 30 + number), cloud(rng, 70 + 3 * number)
            flow = np.concatenate([smooth(volume, 1, number), smooth(volume, 1, 2.0 * number)], axis=-1)
            sets = {
                "surface": PointSet(surface, {"cp": smooth(surface, 1, number)}),
                "volume": PointSet(volume, {"flow": flow}),
            }
            writer.add(sets=sets, split=split)
    return root


@pytest.fixture(scope="session")
def waves_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model on 12 × 12 waves: 3 training, 1 validation and 3 test trajectories of 6 frames."""
    root, rng = tmp_path_factory.mktemp("data") / "small", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for number, split in enumerate(("train",) * 3 + ("valid",) + ("test",) * 3):
            u = travelling_waves(rng, 6, (12, 12))
            writer.add({"u": u}, split=split, time=0.5 * np.arange(6), params={"nu": float(number)})
    out = root.with_name("small-run")
    train(config(root, out, epochs=2), console=QUIET)
    return out


@pytest.fixture(scope="session")
def clouds_run(clouds: Path) -> Path:
    out = clouds.with_name("clouds-run")
    torch.manual_seed(0)
    train(clouds_config(clouds, out), model=clouds_model(), console=QUIET)
    return out


@pytest.fixture(scope="session")
def several_run(several: Path, clouds_run: Path) -> Path:
    """A checkpoint of a model that was not trained: what it predicts is compared with itself."""
    out = several.with_name("several-run")
    out.mkdir()
    torch.manual_seed(0)
    changed = {"model": several_model().state_dict(), "config": several_config(several, out).model_dump(mode="json")}
    save_checkpoint(out / CHECKPOINT, {**load_checkpoint(clouds_run / CHECKPOINT), **changed})
    return out
