"""Short runs of the reference training, and what they leave."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ups_data.training.config import TrainConfig
from ups_data.training.runs.checkpoint import CHECKPOINT, load_checkpoint
from ups_data.training.runs.metrics import METRICS

QUIET = Console(quiet=True)


def config(root: Path, out: Path, *, data: dict | None = None, **training: Any) -> TrainConfig:
    """Two epochs of a small model on the CPU."""
    return TrainConfig.model_validate(
        {
            "data": {"root": str(root), "batch_size": 4, "threads": 1, **(data or {})},
            "model": {"dim": 32, "depth": 1},
            "training": {"epochs": 2, "lr": 5e-3, "lr_warmup_steps": 2, "device": "cpu", **training},
            "out": str(out),
        }
    )


def outcome(out: Path) -> dict[str, str]:
    """Digests of what a run must reproduce: parameters, their average, optimiser, random states, the loader's place,
    every logged number. Times are left out."""
    state = load_checkpoint(out / CHECKPOINT)
    names = ("model", "average", "optimiser", "loader", "rng", "epoch", "metrics")
    found = {name: _digest(state[name]) for name in names}
    found["losses"] = _digest([{k: v for k, v in e.items() if "seconds" not in k} for e in state["history"]["epochs"]])
    return found | {METRICS: hashlib.sha256((out / METRICS).read_bytes()).hexdigest()}


def lines(out: Path) -> list[dict[str, Any]]:
    """The metrics file."""
    return [json.loads(line) for line in (out / METRICS).read_text().splitlines()]


def _digest(value: Any) -> str:
    digest = hashlib.sha256()

    def absorb(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(str(key).encode())
                absorb(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                absorb(item)
        else:
            digest.update(repr(value).encode())

    absorb(value)
    return digest.hexdigest()
