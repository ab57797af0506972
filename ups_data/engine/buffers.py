"""Memory that is used again once nobody looks at it.

Fresh memory is page-faulted by the kernel at the first touch, which costs as much as the copy into it. So arrays of a
batch are handed out as views of kept buffers; a buffer comes back when its last view, in numpy or in torch, is gone.
A consumer that keeps every batch just gets fresh memory each time.
"""

import itertools
import math
import weakref
from collections import deque
from typing import Any

import numpy as np
import torch

from ups_data.batch.samples import TORCH_DTYPES

NUMPY_DTYPES: dict[torch.dtype, Any] = {**{of_torch: dtype for dtype, of_torch in TORCH_DTYPES.items()}}
NUMPY_DTYPES |= {torch.int32: np.dtype(np.int32), torch.int64: np.dtype(np.int64)}  # numbers of points

# Below this, malloc reuses memory by itself.
SMALL = 64 * 1024
STEPS = 8  # sizes of buffers from one power of two to the next: with a schedule, every batch has another
RECENT = 512  # times that a buffer is asked for, after which sizes that nobody asked for are given up


class Buffers:
    """Hands out uninitialised arrays and takes their memory back.

    Args:
        pinned: page-locked memory, from which copies to a CUDA device run asynchronously.
        shared: memory that other processes can map (never reused: the receiver decides how long it lives).
        keep: buffers of one size that wait for use; more are freed.
    """

    def __init__(self, *, pinned: bool = False, shared: bool = False, keep: int = 8) -> None:
        self._pinned, self._shared, self._keep = pinned, shared, keep
        # Taking and giving back are single operations of dicts and deques: a buffer may be dropped in any thread,
        # in the middle of anything.
        self._free: dict[int, deque[torch.Tensor]] = {}
        self._asked: dict[int, int] = {}  # size → number of the lease that asked for it last
        self._leases: dict[int, weakref.ref[np.ndarray]] = {}
        self._numbers = itertools.count()

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An uninitialised tensor; its memory returns when no view of it is left."""
        size = math.prod(shape) * dtype.itemsize
        if self._shared:
            return torch.empty(shape, dtype=dtype, device="cpu").share_memory_()
        if size < SMALL:
            return torch.empty(shape, dtype=dtype, device="cpu", pin_memory=self._pinned)
        step = (1 << (size.bit_length() - 1)) // STEPS
        size = -(-size // step) * step
        key = next(self._numbers)
        if size not in self._free:
            self._give_up(key - RECENT)
        self._asked[size] = key
        free = self._free.setdefault(size, deque(maxlen=self._keep))
        try:
            memory = free.pop()
        except IndexError:
            memory = self._fresh(size)
        lease = memory.numpy()  # a new object: tensors made from it keep it alive, and nothing else does
        leases = self._leases

        def give_back(_: object) -> None:
            free.append(memory)
            del leases[key]

        leases[key] = weakref.ref(lease, give_back)
        used = lease[: math.prod(shape) * dtype.itemsize]
        return torch.from_numpy(used.view(NUMPY_DTYPES[dtype]).reshape(shape))  # views in numpy cost less

    def _fresh(self, size: int) -> torch.Tensor:
        if self._pinned:
            return torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=True)
        # numpy asks the kernel for large pages: 2.5 % more samples/s (64^3 frames, whole or in blocks).
        return torch.from_numpy(np.empty(size, np.uint8))

    def _give_up(self, before: int) -> None:
        """Free the sizes that were last asked for before that lease; what is in use is freed when it comes back."""
        for size, asked in self._asked.copy().items():
            if asked < before:
                self._free.pop(size, None)
                self._asked.pop(size, None)
