"""Real ranks: torchrun starts processes that find their rank by themselves."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling

SCRIPT = """
import json, sys
import torch.distributed as dist
from ups_data import QueryLoader, QuerySampling

if __name__ == "__main__":
    root, out, workers = sys.argv[1:]
    dist.init_process_group("gloo")
    size = 8 // dist.get_world_size()
    sampling = QuerySampling(ratio=0.1)
    loader = QueryLoader(root, split="train", batch_size=size, sampling=sampling, num_workers=int(workers))
    batches = [b.target_queries.index.tolist() for b in loader]
    with open(f"{out}.{dist.get_rank()}", "w") as f:
        json.dump(batches, f)
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize(("ranks", "workers"), [(2, 0), (2, 1), (4, 0)])
def test_ranks_share_the_global_batches(tmp_path, ranks, workers):
    write_grid(tmp_path / "d", steps=(9,) * 4)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    command += [str(tmp_path / "script.py"), str(tmp_path / "d"), str(tmp_path / "out"), str(workers)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    parts = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(ranks)]
    whole = QueryLoader(tmp_path / "d", split="train", batch_size=8, sampling=QuerySampling(ratio=0.1))
    expected = [b.target_queries.index.tolist() for b in whole]
    assert len(expected) == 4
    assert [list(itertools.chain(*batch)) for batch in zip(*parts, strict=True)] == expected
