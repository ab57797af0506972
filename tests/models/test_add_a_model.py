"""The page `docs/add-a-model.md`, word for word: a model outside of the package, trained both ways."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.pages import blocks
from tests.training.runs import lines

DEFINED, USED = blocks("add-a-model.md", "python")
(CONFIGURED,) = blocks("add-a-model.md", "yaml")


@pytest.fixture
def folder(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files beside its data; its module is forgotten afterwards."""
    (tmp_path / "pointwise.py").write_text(DEFINED)
    (tmp_path / "pointwise.yaml").write_text(CONFIGURED)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run").symlink_to(waves)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("pointwise", None)


def falls(out: Path) -> bool:
    found = [line["loss"]["prediction"] for line in lines(out) if "loss" in line]
    return sum(found[-4:]) < 0.5 * sum(found[:4])


def test_named_in_a_configuration(folder: Path) -> None:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])])
    command = ["-m", "ups_data.cli", "train", "pointwise.yaml", "data.threads=1", "training.device=cpu"]
    done = warm.run(command, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert falls(folder / "runs" / "pointwise")
    lost = warm.run(command, env={**os.environ, "PYTHONPATH": path.partition(os.pathsep)[2]}, cwd=folder / "data")
    assert lost.returncode == 2


def test_given_to_train(folder: Path) -> None:
    found: dict[str, object] = {}
    exec(compile(USED, "add-a-model.md", "exec"), found)
    assert falls(folder / "runs" / "given")
    assert found["fields"]["u"].shape == (4, 256, 1)


def test_errors_are_fed_back(folder: Path) -> None:
    """Points are drawn where the model errs: after an epoch, others than before."""
    from pointwise import Pointwise

    from ups_data.training import load_config, train

    options = ["training.query_sampling_mode=importance", "training.importance_metric=error", "data.threads=1"]
    told: list[int] = []

    class Telling(Pointwise):
        def losses(self, batch, context):
            told.append(context.on_errors is not None)
            return super().losses(batch, context)

    train(load_config("pointwise.yaml", [*options, "training.epochs=2"]), model=Telling("u", 3.0, 1.5, 8))
    assert all(told)
