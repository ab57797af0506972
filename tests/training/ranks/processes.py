"""Ranks as processes, and what their runs leave."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tests.training.ranks import several_runs
from ups_data.training.config import TrainConfig
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint
from ups_data.training.runs.metrics import METRICS

LIMIT = 240  # seconds; what has not ended by then hangs
ROOT = Path(__file__).parents[3]


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


def start(count: int, *command: str, log: Path, **environment: str) -> list[subprocess.Popen[bytes]]:
    """So many ranks of one command; each one's output is in a file."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    processes = []
    for rank in range(count):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}
        place |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with open(f"{log}.{rank}", "wb") as file:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env=os.environ | place | environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
    return processes


def ended(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """Their exit statuses; a hang is an error."""
    try:
        return [process.wait(LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


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
