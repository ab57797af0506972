"""Ranks of `torch.distributed`, in an environment as a launcher makes it, without its start and their imports."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import warm

Process = warm.Popen | subprocess.Popen[bytes]
LIMIT = 240  # seconds; what has not ended by then hangs


def start(count: int, *command: object, log: Path, fresh: bool = False, **environment: str) -> list[Process]:
    """So many ranks of one command; each one's output is in a file.

    Args:
        fresh: import torch anew in each, as where it matters what is set before that.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    processes: list[Process] = []
    for rank in range(count):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}
        place |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(warm.ROOT)}
        with open(f"{log}.{rank}", "wb") as file:
            options: dict[str, Any] = {"env": os.environ | place | environment, "stdout": file, "stderr": file}
            if fresh:
                processes.append(subprocess.Popen([sys.executable, *map(str, command)], **options))
            else:
                processes.append(warm.Popen(command, **options))
    return processes


def ended(processes: list[Process]) -> list[int]:
    """Their exit statuses; a hang is an error."""
    try:
        return [process.wait(LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
