"""What every rank of `test_torchrun.py` runs: two epochs, a collective call at each step as in training.

Arguments: dataset, output file, worker processes, rank and step at which that rank ends it (−1: none), and how.
Rank 0 writes the digest of the global batches in order, and what each rank decoded. Every rank writes its process ids.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from ups_data import QueryLoader, QuerySampling

GLOBAL_BATCH = 8
TIMEOUT = 8  # seconds that a collective call waits for a rank that does not answer


def main(root: str, out: str, workers: int, victim: int, at: int, how: str) -> None:
    dist.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT))
    rank, ranks = dist.get_rank(), dist.get_world_size()
    sampling = QuerySampling(ratio=0.2)
    loader = QueryLoader(
        root, split="train", batch_size=GLOBAL_BATCH // ranks, sampling=sampling, num_workers=workers, threads=1
    )
    digest, sizes, step = hashlib.sha256(), [], 0
    for _epoch in range(2):
        for batch in loader:
            if step == 0:
                with open(f"{out}.pids.{rank}", "w") as file:
                    json.dump([os.getpid(), *(p.pid for p in multiprocessing.active_children())], file)
            if (rank, step) == (victim, at):
                os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[how])
            mine = torch.cat([batch.trajectory[:, None], batch.step[:, None], batch.target_queries.index], 1)
            parts = [torch.empty_like(mine) for _ in range(ranks)]
            dist.all_gather(parts, mine)
            together = torch.cat(parts)
            digest.update(together.numpy().tobytes())
            sizes.append(len(together))
            step += 1
    decoded = torch.zeros(ranks, dtype=torch.int64)
    decoded[rank] = loader.stats.decoded_chunks
    dist.all_reduce(decoded)
    if rank == 0:
        with open(out, "w") as file:
            json.dump({"digest": digest.hexdigest(), "sizes": sizes, "decoded": decoded.tolist()}, file)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    root, out, workers, victim, at, how = sys.argv[1:]
    main(root, out, int(workers), int(victim), int(at), how)
