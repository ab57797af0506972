"""Hugging Face accelerate drives the loop, on one process and on two."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling

accelerate = pytest.importorskip("accelerate", reason="needs the extra clients")
pytestmark = pytest.mark.clients

SCRIPT = """
import json, sys
import torch
from accelerate import Accelerator
from ups_data import QueryLoader, QuerySampling

if __name__ == "__main__":
    root, out, ranks, workers, late = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    accelerator = Accelerator(cpu=True) if late else None
    loader = QueryLoader(
        root, split="train", batch_size=8 // ranks, sampling=QuerySampling(ratio=0.1), num_workers=workers
    )
    accelerator = accelerator or Accelerator(cpu=True)
    net = torch.nn.Linear(2, 2)
    net, optimiser, loader = accelerator.prepare(net, torch.optim.SGD(net.parameters(), 0.01), loader)
    seen = []
    for epoch in range(2):
        for batch in loader:
            queries = batch.target_queries
            seen.append([batch.epoch, list(zip(batch.trajectory.tolist(), batch.step.tolist()))])
            accelerator.backward(((net(queries.coords) - queries.values["u"]) ** 2).mean())
            optimiser.step()
            optimiser.zero_grad()
    with open(f"{out}.{accelerator.process_index}", "w") as file:
        json.dump(seen, file)
    accelerator.end_training()
"""


@pytest.mark.parametrize(("ranks", "workers", "late"), [(1, 0, 0), (2, 0, 0), (2, 0, 1), (2, 2, 0)])
def test_epochs_advance_and_ranks_share_the_samples(tmp_path: Path, ranks: int, workers: int, late: int) -> None:
    """The loader is made before the Accelerator, as is usual, or after it."""
    write_grid(tmp_path / "d", steps=(9,) * 4)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    arguments = [tmp_path / "script.py", tmp_path / "d", tmp_path / "out", ranks, workers, late]
    done = subprocess.run([*command, *map(str, arguments)], timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(ranks)]
    assert {len(rank) for rank in seen} == {8}
    for epoch in range(2):
        samples = [tuple(s) for rank in seen for e, batch in rank if e == epoch for s in batch]
        assert sorted(samples) == sorted(itertools.product(range(4), range(8)))


def test_skipped_first_batches(tmp_path: Path) -> None:
    """`skip_first_batches` makes a DataLoader of the loader's samples: the very batches that are left."""
    write_grid(tmp_path / "d", steps=(9,) * 4)
    loader = QueryLoader(tmp_path / "d", split="train", batch_size=8, sampling=QuerySampling(ratio=0.1))
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        rest = [b.target_queries.index.tolist() for b in accelerate.skip_first_batches(loader, 3)]
        assert rest == [b.target_queries.index.tolist() for b in loader][3:]
