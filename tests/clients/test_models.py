"""The models of `docs/your-own-model.md`, as they are printed there: each is trained, and its loss falls."""

import sys

import pytest
import torch

from tests.models.points.conftest import shapes
from tests.pages import blocks
from tests.training.conftest import _one_thread, waves
from tests.training.runs import QUIET
from ups_data.schema import Manifest
from ups_data.training import TrainConfig, train

__all__ = ["_one_thread", "shapes", "waves"]
clients = pytest.mark.clients
SETS = {"horizon": 0, "input_fields": ["normal"], "target_fields": ["p", "u"], "repeats": 4}
IN_ORDER = {"num_queries": 20, "order": "random"}
ONE = {"horizon": 0, "input_fields": [], "target_fields": ["p"], "repeats": 4, "sampling": {"surface": {"ratio": 0.5}}}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory):
    """The page's modules, by their names."""
    folder = tmp_path_factory.mktemp("modules")
    for text in blocks("your-own-model.md", "python"):
        (folder / text.split('"""')[1]).write_text(text)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for name in ("common", *(p.stem for p in folder.glob("*.py"))):
        sys.modules.pop(name, None)


def trained(root, out, target, *, epochs, data, options=None, batch=4, **training):
    torch.manual_seed(0)
    config = TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": batch, "threads": 1, "valid_split": "none", **data},
            "model": {"target": f"{target}:build", "options": options or {}},
            "training": {"epochs": epochs, "lr": 5e-3, "lr_warmup_steps": 2, "device": "cpu", **training},
            "out": str(out),
        }
    )
    result = train(config, console=QUIET)
    return [entry["loss"]["prediction"] for entry in result.epochs], result.model


def test_transolver_like(shapes, tmp_path):
    losses, model = trained(shapes, tmp_path, "transolver", epochs=6, data={**ONE, "ragged": "pad"})
    assert losses[-1] < 0.6 * losses[0]
    assert model.name == "p"


@clients
def test_ab_upt_like(shapes, tmp_path):
    sampling = {"surface": {**IN_ORDER, "num_queries": 16}, "volume": {**IN_ORDER, "num_queries": 48}}
    data = SETS | {"input_fields": [], "sampling": sampling, "target_fields": ["p", "normal", "u"]}
    losses, _ = trained(shapes, tmp_path, "abupt", epochs=20, data=data)
    assert losses[-1] < 0.6 * losses[0]


@clients
def test_fno(waves, tmp_path):
    pytest.importorskip("neuralop", reason="needs the extra clients")
    losses, _ = trained(waves, tmp_path, "fno", epochs=8, data={}, query_sample_ratio=0.1, options={"modes": 6})
    assert losses[-1] < 0.5 * losses[0]
    assert Manifest.load(waves).grid.shape == (16, 16)


@clients
def test_gino(shapes, tmp_path):
    pytest.importorskip("neuralop", reason="needs the extra clients")
    losses, _ = trained(shapes, tmp_path, "gino", epochs=6, batch=1, data=ONE)
    assert losses[-1] < 0.7 * losses[0]
