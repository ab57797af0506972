"""The global generators of a process: seeded once, and carried on by a run that goes on in another process.

Order and points come from seeds of their own; what draws from these are models and user code.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Start the generators of torch, Python and NumPy anew."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, the global generator is what is asked for


def seed_of_rank(seed: int, rank: int, step: int = 0) -> int:
    """What a rank seeds its generators with, so that no two of them draw alike; of the first rank, the seed itself.

    Args:
        step: where a run goes on on more ranks than before.
    """
    return seed if rank == 0 else int(np.random.SeedSequence([seed % 2**32, rank, step]).generate_state(1)[0])


def rng_state() -> dict[str, Any]:
    """States of torch (CPU and every CUDA device), Python and NumPy, as plain data and tensors."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put back what `rng_state` gave; the states of CUDA devices only where there are as many."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    if not 0 <= rest[0] <= len(keys):  # numpy would read beyond the end
        raise ValueError(f"no random state: position {rest[0]} of {len(keys)}")
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002


def set_rng_state_of(rank: int, states: Sequence[dict[str, Any]], *, otherwise: int) -> None:
    """Put back the state of a rank; one that there was none of begins with the seed `otherwise`."""
    if rank < len(states):
        set_rng_state(states[rank])
    else:
        seed_all(otherwise)
