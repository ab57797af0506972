"""What every rank of `test_torchrun.py` runs: two epochs, a collective call at each step as in training.

Arguments: dataset, output file, settings as JSON: those of `Settings`. Rank 0 writes the digest of every global batch,
what each rank decoded, and the state. Every rank writes its process ids.
"""

import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ups_data import QueryBatch, QueryLoader, QuerySampling
from ups_data.loader.mixture import QueryMixture
from ups_data.training.evaluation.validation import evaluate

GLOBAL_BATCH = 8
UNIFORM = QuerySampling(ratio=0.2)
ERRORS = QuerySampling(ratio=0.2, mode="importance", importance_metric="error")
PLANS: dict[str, dict[str, Any]] = {
    "train": {"sampling": UNIFORM},
    "rest": {"sampling": UNIFORM, "drop_last": False},
    "pad": {"sampling": UNIFORM, "pad": True},
    "feedback": {"sampling": ERRORS},
}


@dataclass
class Settings:
    """`plan`: one of PLANS, or "mixture"; `state`: a file to go on from; `save_at`: steps after which to save one;
    `victim`, `at`: the rank and the step at which it ends itself (−1: none), and `how`; `timeout`: seconds that a
    collective call waits for a rank that does not answer."""

    plan: str = "train"
    workers: int = 0
    state: str = ""
    save_at: int = -1
    victim: int = -1
    at: int = -1
    how: str = "kill"
    timeout: float = 90.0


def make(root: str | Path, plan: str, ranks: int = 1, workers: int = 0) -> QueryLoader | QueryMixture:
    """The loader of one rank; rank and number are `torch.distributed`'s."""
    options = {"split": "train", "batch_size": GLOBAL_BATCH // ranks, "num_workers": workers, "threads": 1}
    if plan != "mixture":
        return QueryLoader(root, **options, **PLANS[plan])
    loaders = [QueryLoader(root, **options, **PLANS[name]) for name in ("feedback", "pad")]
    return QueryLoader.mix(loaders, weights=[3, 1], epoch_batches=len(loaders[0]))


def rows(batch: QueryBatch) -> Tensor:
    """What tells a batch from others, a row for each sample."""
    valid = torch.ones(len(batch), dtype=torch.bool) if batch.valid is None else batch.valid
    source = torch.full((len(batch), 1), batch.source)
    return torch.cat(
        [source, valid[:, None], batch.trajectory[:, None], batch.step[:, None], batch.target_queries.index], 1
    )


def errors(batch: QueryBatch) -> Tensor:
    """Of no round numbers."""
    return 0.1 + (batch.target_queries.index % 7) ** 1.5


def digest(parts: list[Tensor]) -> str:
    """Of a global batch, from the parts of all ranks in order."""
    return hashlib.sha256(torch.cat(parts).numpy().tobytes()).hexdigest()


def alone(root: str | Path, plan: str, state: dict[str, Any] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one process without ranks gives: digests, and the state after each batch."""
    loader = make(root, plan)
    if state is not None:
        loader.load_state_dict(state)
    for batch in itertools.chain.from_iterable(loader for _ in range(99)):
        loader.feedback(batch, errors(batch))
        yield digest([rows(batch)]), loader.state_dict()


class Still(torch.nn.Module):
    """A model that predicts no change, for the figures of a validation."""

    def predict(self, batch: QueryBatch) -> dict[str, Tensor]:
        return dict(batch.inputs.fields)


def validate(root: str | Path, ranks: int = 1) -> float:
    dense = {"sampling": QuerySampling(ratio=1.0), "input_queries": False, "pad": True, "threads": 0, "shuffle": False}
    loader = QueryLoader(root, split="train", batch_size=GLOBAL_BATCH // ranks, **dense)
    return evaluate(Still(), loader).nrmse  # type: ignore[arg-type]


def main(root: str, out: str, settings: Settings) -> None:
    dist.init_process_group("gloo", timeout=timedelta(seconds=settings.timeout))
    rank, ranks = dist.get_rank(), dist.get_world_size()
    loader = make(root, settings.plan, ranks, settings.workers)
    first = 0
    if settings.state:
        state = torch.load(settings.state, weights_only=True)
        loader.load_state_dict(state)
        first = state["epoch"] * len(loader) + state["batch"]
    digests, sizes = [], []
    batches = itertools.chain.from_iterable(loader for _ in range(2))
    for step, batch in enumerate(itertools.islice(batches, 2 * len(loader) - first), first):
        if step == first:
            with open(f"{out}.pids.{rank}", "w") as file:
                server = forkserver._forkserver._forkserver_pid
                workers = [p.pid for p in multiprocessing.active_children()]
                json.dump([os.getpid(), *workers, *([server] if server else [])], file)
        if (rank, step) == (settings.victim, settings.at):
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[settings.how])
        parts: list[Any] = [None] * ranks
        dist.all_gather_object(parts, rows(batch))
        digests.append(digest(parts))
        sizes.append(sum(map(len, parts)))
        loader.feedback(batch, errors(batch))
        if step + 1 == settings.save_at:
            state = loader.state_dict()
            if rank == 0:
                torch.save(state, f"{out}.state")
    decoded = torch.zeros(ranks, dtype=torch.int64)
    decoded[rank] = loader.stats.decoded_chunks
    dist.all_reduce(decoded)
    nrmse = validate(root, ranks) if settings.plan == "pad" else None
    if rank == 0:
        found = {"digests": digests, "sizes": sizes, "decoded": decoded.tolist(), "nrmse": nrmse, "first": first}
        with open(out, "w") as file:
            json.dump(found, file)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Settings(**json.loads(sys.argv[3])))
