"""Ranks as processes, and what their runs leave."""

import json
from pathlib import Path
from typing import Any

import torch

from tests.training.ranks import several_runs
from tests.warm_ranks import ended, start
from ups_data.training.config import TrainConfig
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint
from ups_data.training.runs.metrics import METRICS


def config(root: Path, out: Path, **keys: Any) -> dict[str, Any]:
    """A small model, `section.key` → value over its defaults."""
    values: dict[str, Any] = {
        "data": {"root": str(root), "batch_size": 8, "threads": 1},
        "model": {"target": "tests.training.ranks.mortal:build", "options": {"dim": 16, "depth": 1, "tokens": 4}},
        "training": {"epochs": 2, "lr_warmup_steps": 2, "device": "cpu", "query_sample_ratio": 0.3},
        "out": str(out),
    }
    for key, value in keys.items():
        section, name = key.split("__")
        values[section][name] = value
    return TrainConfig.model_validate(values).model_dump(mode="json")


def run_all(count: int, folder: Path, *configs: dict[str, Any]) -> list[list[str | None]]:
    """Trainings on so many ranks; the errors of each rank."""
    path = folder / f"runs{count}.json"
    path.write_text(json.dumps(configs))
    statuses = ended(start(count, several_runs.__file__, str(path), log=folder / f"log{count}"))
    assert statuses == [0] * count, [(folder / f"log{count}.{rank}").read_text() for rank in range(count)]
    return [json.loads(path.with_suffix(f".{rank}").read_text()) for rank in range(count)]


def losses(out: Path) -> list[float]:
    """Of every step."""
    lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    return [line["loss"]["total"] for line in lines if "loss" in line]


def assert_alike(out: Path, expected: Path) -> None:
    """Losses within 1e-5 of one another, parameters within 1e-4."""
    torch.testing.assert_close(torch.tensor(losses(out)), torch.tensor(losses(expected)), rtol=1e-5, atol=0)
    weights, others = (load_checkpoint(path / CHECKPOINT)["model"] for path in (out, expected))
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=1e-4, msg=name)
