"""Memory that is used again: of any size, and no more of it than is in use at once."""

import gc
import os
import socket
import threading

import pytest
import torch

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling
from ups_data.engine.buffers import SMALL, Buffers
from ups_data.engine.processes import wire
from ups_data.engine.processes.wire import Channel, Receiver, Sender


def waiting(buffers):
    """Bytes that wait for use."""
    return sum(memory.nbytes for free in buffers._free.values() for memory in free)


def test_shapes_and_reuse():
    buffers = Buffers()
    for size in (1, SMALL // 4, SMALL // 4 + 1, 100_000, 131_071, 131_072, 131_073):
        for dtype in (torch.float32, torch.int32, torch.float16):
            tensor = buffers.tensor((3, size), dtype)
            assert (tensor.shape, tensor.dtype) == ((3, size), dtype)
            tensor.fill_(1)
            where, nbytes = tensor.data_ptr(), tensor.nbytes
            del tensor
            assert nbytes < SMALL or buffers.tensor((3, size), dtype).data_ptr() == where


def test_a_batch_of_another_size_each_time_uses_memory_again():
    """As with a ratio that moves on with every step: a thousand sizes, three batches at once."""
    buffers, kept, most = Buffers(), [], 0
    for queries in range(40_000, 20_000, -20):
        kept = [*kept[-2:], buffers.tensor((16, queries), torch.float32)]
        most = max(most, waiting(buffers))
    assert most < 40 * 16 * 40_000 * 4
    ramp = waiting(buffers)
    for _ in range(600):
        buffers.tensor((16, 20_000), torch.float32)
    buffers.tensor((16, 50_000), torch.float32)  # a new size: what nobody asks for is given up
    assert waiting(buffers) < 8 * 16 * 20_000 * 4 + 1.2 * 16 * 50_000 * 4 < ramp / 1.5


def test_a_loader_whose_ratio_moves_on_with_every_step(tmp_path):
    write_grid(tmp_path / "d", grid=(128, 128), steps=(9,) * 4)
    ramp = {"schedule": "linear", "start_ratio": 1.0, "end_ratio": 0.3, "end_epoch": 16, "schedule_unit": "step"}
    loader = QueryLoader(tmp_path / "d", split="train", batch_size=4, sampling=QuerySampling(**ramp), threads=2)
    sizes, largest = set(), 0
    for _ in range(16):
        for batch in loader:
            sizes.add(batch.target_queries.index.shape[1])
            largest = max(largest, batch.nbytes())
    assert len(sizes) > 100
    assert waiting(loader._source.readers[0]._recipe.memory) < 20 * largest


def test_memory_that_cannot_be_mapped_leaves_no_descriptor_open(monkeypatch):
    ours, theirs = socket.socketpair()
    sender, receiver = Sender(Channel(ours)), Receiver(Channel(theirs))
    mapped = wire._mapped

    def fails(fd, size):
        raise RuntimeError("no memory")

    for _ in range(2):  # what other tests left, and what their threads held
        gc.collect()
        for thread in threading.enumerate():
            if thread.name.startswith("ups_data"):
                thread.join(5)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(wire, "_mapped", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        sender.send(torch.ones(1000))
    assert len(os.listdir("/proc/self/fd")) == before
    monkeypatch.setattr(wire, "_mapped", mapped)
    sender.send(torch.ones(1000))
    monkeypatch.setattr(wire, "_mapped", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        receiver.receive(1.0)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    ours.close(), theirs.close()
