"""A plain loop under DistributedDataParallel: the ranks share each batch, and a stop in mid-epoch resumes exactly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import travelling_waves
from ups_data import ShardWriter

pytestmark = pytest.mark.clients
SCRIPT = """
import json, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from ups_data import QueryLoader

if __name__ == "__main__":
    root, out, stop = sys.argv[1], sys.argv[2], int(sys.argv[3])
    loader = QueryLoader(root, split="train", batch_size=8 // int(sys.argv[4]), sampling=0.25)
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    model, losses = DistributedDataParallel(net), []
    adam = torch.optim.Adam(net.parameters(), 0.02)
    try:
        saved = torch.load(f"{out}.pt", weights_only=True)
        net.load_state_dict(saved["model"])
        adam.load_state_dict(saved["adam"])
        loader.load_state_dict(saved["loader"])
    except FileNotFoundError:
        pass
    while loader.epoch < 3 and stop != len(losses):
        for batch in loader:
            queries = batch.target_queries
            loss = (queries.weight * (model(queries.coords) - queries.values["u"]).square().mean(-1)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            mean = loss.detach() / dist.get_world_size()
            dist.all_reduce(mean)
            losses.append(mean.item())
            if len(losses) == stop:
                break
    if dist.get_rank() == 0:
        torch.save(
            {"model": net.state_dict(), "adam": adam.state_dict(), "loader": loader.state_dict()}, f"{out}.pt"
        )
        with open(f"{out}.json", "w") as file:
            json.dump(losses, file)
    dist.barrier()
    dist.destroy_process_group()
"""


def losses(folder: Path, out: str, ranks: int, stop: int = -1) -> list[float]:
    arguments = [folder / "loop.py", folder / "d", folder / out, stop, ranks]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[float] = json.loads((folder / f"{out}.json").read_text())
    return found


def test_the_losses_are_those_of_one_process_and_go_on_in_mid_epoch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for _ in range(4):
            writer.add(fields={"u": travelling_waves(rng, 9, (16, 16))}, split="train", time=np.arange(9.0))
    (tmp_path / "loop.py").write_text(SCRIPT)
    whole = losses(tmp_path, "one", 1)
    assert len(whole) == 12
    assert losses(tmp_path, "two", 2) == pytest.approx(whole, rel=1e-5)
    first = losses(tmp_path, "moved", 2, stop=6)  # of four batches each epoch
    assert first + losses(tmp_path, "moved", 1) == pytest.approx(whole, rel=1e-5)
    assert sum(whole[-4:]) < sum(whole[:4])
