"""Real ranks: processes that find their rank by themselves, started by torchrun, or as it starts them."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.datasets import write_grid
from tests.warm_ranks import ended, start
from ups_data import QueryLoader, QuerySampling, UpsDataError

SCRIPT = """
import json, sys
import torch.distributed as dist
from ups_data import QueryLoader, QuerySampling

if __name__ == "__main__":
    root, out, workers, late, ranks = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    if not late:
        dist.init_process_group("gloo")
    loader = QueryLoader(
        root, split="train", batch_size=8 // ranks, sampling=QuerySampling(ratio=0.1), num_workers=workers
    )
    assert len(loader) == 4
    if late:
        dist.init_process_group("gloo")
    batches = [b.target_queries.index.tolist() for b in loader]
    with open(f"{out}.{dist.get_rank()}", "w") as f:
        json.dump(batches, f)
    dist.barrier()
    dist.destroy_process_group()
"""


SHORT = [(2, 0, 0), (2, 1, 1), (4, 0, 1)]
LONG = [(1, 0, 1), (2, 0, 1), (2, 1, 0), (4, 1, 0), (4, 1, 1)]


@pytest.mark.parametrize(
    ("launcher", "ranks", "workers", "late"),
    [
        *(("torchrun" if case == (2, 0, 0) else "none", *case) for case in SHORT),
        *(pytest.param("torchrun", *case, marks=pytest.mark.faults) for case in SHORT[1:] + LONG),
    ],
)
def test_ranks_share_the_global_batches(tmp_path, launcher, ranks, workers, late):
    """The loader is made before `torch.distributed` is initialised, or after it."""
    write_grid(tmp_path / "d", steps=(9,) * 4)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [str(tmp_path / "script.py"), str(tmp_path / "d"), str(tmp_path / "out")]
    command += [str(workers), str(late), str(ranks)]
    if launcher == "torchrun":
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        subprocess.run([*torchrun, *command], check=True, timeout=120, capture_output=True)
    else:
        assert ended(start(ranks, *command, log=tmp_path / "log")) == [0] * ranks
    parts = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(ranks)]
    whole = QueryLoader(tmp_path / "d", split="train", batch_size=8, sampling=QuerySampling(ratio=0.1))
    expected = [b.target_queries.index.tolist() for b in whole]
    assert len(expected) == 4
    assert [list(itertools.chain(*batch)) for batch in zip(*parts, strict=True)] == expected


def some(root, **options):
    return QueryLoader(root, split="train", batch_size=2, sampling=QuerySampling(ratio=0.1), **options)


def test_a_launcher_without_torch_distributed_is_an_error_when_the_first_pass_begins(tmp_path, monkeypatch):
    """Every rank would have the same data."""
    write_grid(tmp_path / "d", steps=(9,) * 4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    loader = some(tmp_path / "d")
    assert len(loader) == 8  # as many as there will be
    with pytest.raises(UpsDataError, match="WORLD_SIZE says that there are 2 ranks, and torch.distributed is not init"):
        next(iter(loader))
    assert len(list(some(tmp_path / "d", rank=1, world_size=2))) == 8


def test_ranks_that_change_after_the_first_pass_are_an_error(tmp_path, monkeypatch):
    write_grid(tmp_path / "d", steps=(9,) * 4)
    loader = some(tmp_path / "d")
    next(iter(loader))
    monkeypatch.setattr("ups_data.engine.ranks.is_distributed", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    with pytest.raises(UpsDataError, match="began as rank 0 of 1, and this process is now rank 1 of 2"):
        next(iter(loader))
    assert len(list(some(tmp_path / "d"))) == 8
