"""Small datasets of every geometry, and a run on each of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import travelling_waves
from tests.training.evaluation.models import Points
from tests.training.runs import QUIET, config
from ups_data import ShardWriter
from ups_data.training import TrainConfig, train
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ups_data.trajectory import PointSet

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


def clouds_model() -> Points:
    return Points({None: {"p": 1}}, {None: 1}, dim=2)


def several_model() -> Points:
    return Points({"surface": {"cp": 1}, "volume": {"flow": 2}}, {"surface": 1, "volume": 2}, dim=2)


def clouds_config(root: Path, out: Path) -> TrainConfig:
    data = {"ragged": "pad", "input_fields": ["p"], "target_fields": ["p"], "batch_size": 2, "input_queries": False}
    return config(root, out, data=data, epochs=1, query_sample_ratio=0.5)


def several_config(root: Path, out: Path) -> TrainConfig:
    drawn = {"surface": {"num_queries": 10}, "volume": {"num_queries": 20}}
    data = {"batch_size": 2, "horizon": 0, "sampling": drawn, "inputs": drawn, "input_queries": False}
    return config(root, out, data=data, epochs=1)


@pytest.fixture(scope="session")
def waves_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model on 12 × 12 waves: 3 training, 1 validation and 3 test trajectories of 6 frames."""
    root, rng = tmp_path_factory.mktemp("data") / "waves", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for number, split in enumerate(("train",) * 3 + ("valid",) + ("test",) * 3):
            u = travelling_waves(rng, 6, (12, 12))
            writer.add({"u": u}, split=split, time=0.5 * np.arange(6), params={"nu": float(number)})
    out = root.with_name("waves-run")
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
