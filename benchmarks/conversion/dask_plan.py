"""How long a Dask scheduler takes for a plan of many shard tasks that do nothing, and how its memory grows.

    python benchmarks/conversion/dask_plan.py --tasks 10000 --workers 2

The plan goes through the same loop as a conversion (`ups_data.conversion.cluster.run.Tasks`); only the task is another
one. Scheduler and workers are processes of this machine. Each line says how many tasks are done, after how many seconds
(processor time until then: of the client, the scheduler, all workers), and the scheduler's memory (RSS, MiB).
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))

from ups_data.conversion.cluster.address import quiet
from ups_data.conversion.cluster.run import Tasks
from ups_data.conversion.shard_plan import PlannedShard, shard_path


def nothing(shard: PlannedShard, packed: bytes) -> tuple[str, str]:
    return "made", shard.path


def rss(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--job-bytes", type=int, default=4000, help="of what every task is given beside its shard")
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{Path(__file__).parent}"}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    dask = [sys.executable, "-m"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "distributed.cli.dask_scheduler", *place], **silent)]
    address = f"tcp://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as scratch, quiet():
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", scratch]
        for _ in range(given.workers):
            command = [*dask, "distributed.cli.dask_worker", address, *options]
            processes.append(subprocess.Popen(command, **silent))
        try:
            shards = [
                PlannedShard(split="train", path=shard_path("train", n), trajectories=list(range(8 * n, 8 * n + 8)))
                for n in range(given.tasks)
            ]
            sys.modules["dask_plan"] = sys.modules["__main__"]
            nothing.__module__ = "dask_plan"
            tasks = Tasks(address, nothing, os.urandom(given.job_bytes), "dask-plan", 60.0)
            began = time.monotonic()
            for done, _ in enumerate(tasks.run(shards, lambda shard, number: None), 1):
                if done == 1:  # from here on: processes have started
                    began = time.monotonic()
                if done == 1 or done % max(1, given.tasks // 10) == 0:
                    worked = [time.process_time(), cpu(processes[0].pid), sum(cpu(p.pid) for p in processes[1:])]
                    of = ", ".join(f"{seconds:.1f}" for seconds in worked)
                    seconds, size = time.monotonic() - began, rss(processes[0].pid)
                    print(f"{done:,} tasks, {seconds:.1f} s ({of}), scheduler {size:.0f} MiB", flush=True)
            tasks.close()
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
