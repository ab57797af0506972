"""Messages between a training process and its worker processes, with tensors in shared memory that has no name.

A message is pickled; the tensors in it lie one behind another in one piece of memory, which the receiver maps when it
sees it for the first time and gives back when the last view of it is gone. So pages are faulted in once, not with every
batch, and nothing but the two processes keeps the memory alive.
"""

import io
import math
import os
import pickle
import socket
import tempfile
import time
import weakref
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

HEADER_BYTES = 4
MOST_FDS = 16
ALIGN = 64
GRAIN = 64 * 1024  # of the size of a piece of memory
ROOMY = 4  # a piece that is so many times too large is given up


class Channel:
    """One end of a socket. Whole messages only: a receiver never waits in the middle of one beyond its limit."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._bytes = bytearray()
        self._fds: deque[int] = deque()

    def fileno(self) -> int:
        """The socket's descriptor, for `wait`."""
        return self._socket.fileno()

    def send(self, body: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send a whole message, and descriptors with it."""
        data = len(body).to_bytes(HEADER_BYTES, "little") + body
        sent = socket.send_fds(self._socket, [data], fds) if fds else 0
        self._socket.sendall(data[sent:])

    def receive(self, seconds: float | None = None) -> bytes | None:
        """The next message; None if it is not here in time.

        Raises:
            EOFError: the other end is gone.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while (body := self._message()) is None:
            self._socket.settimeout(None if until is None else max(1e-6, until - time.monotonic()))
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, MOST_FDS)
            except TimeoutError:
                return None
            except BlockingIOError:
                return None
            except ConnectionError as error:
                raise EOFError("the other end is gone") from error
            finally:
                self._socket.settimeout(None)
            self._fds.extend(fds)
            if not data:
                raise EOFError("the other end is gone")
            self._bytes += data
        return body

    def take_fd(self) -> int:
        """The descriptor that came with the message received last."""
        return self._fds.popleft()

    def close(self) -> None:
        """Close the socket, and the descriptors that nobody took."""
        self._socket.close()
        while self._fds:
            os.close(self._fds.popleft())

    def _message(self) -> bytes | None:
        if len(self._bytes) < HEADER_BYTES:
            return None
        end = HEADER_BYTES + int.from_bytes(self._bytes[:HEADER_BYTES], "little")
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[HEADER_BYTES:end])
        del self._bytes[:end]
        return body


class Sender:
    """Sends objects that hold tensors. Its memory is used again once the receiver tells that it is free."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._memory: dict[int, Tensor] = {}
        self._free: list[int] = []
        self._count = 0

    def give_back(self, numbers: list[int]) -> None:
        """Memory of these numbers is free again."""
        self._free += numbers

    def send(self, message: Any) -> None:
        """Send an object; its tensors are copied into shared memory."""
        packed = _Packed()
        packed.dump(message)
        if not packed.size:
            self._channel.send(pickle.dumps((None, 0, [], packed.body())))
            return
        number, dropped = self._fitting(packed.size)
        fds: tuple[int, ...] = ()
        try:
            if number not in self._memory:
                size = -(-packed.size // GRAIN) * GRAIN
                fds = (_unnamed(),)
                os.ftruncate(fds[0], size)
                self._memory[number] = _mapped(fds[0], size)
            memory = self._memory[number]
            packed.copy_to(memory)
            self._channel.send(pickle.dumps((number, len(memory), dropped, packed.body())), fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _fitting(self, size: int) -> tuple[int, list[int]]:
        """A free piece that is large enough, else a new number; and those given up."""
        dropped = [n for n in self._free if not size <= len(self._memory[n]) <= ROOMY * size + GRAIN]
        for number in dropped:
            self._free.remove(number)
            del self._memory[number]
        if self._free:
            return self._free.pop(), dropped  # the last one back is the warmest
        self._count += 1
        return self._count, dropped


class Receiver:
    """Receives what a `Sender` sends. `freed` has the numbers of memory that nobody looks at any more."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._memory: dict[int, Tensor] = {}
        self._freed: deque[int] = deque()
        self._leases: dict[int, weakref.ref[np.ndarray]] = {}

    def freed(self) -> list[int]:
        """Numbers of the memory that nobody looks at any more, each told once."""
        return [self._freed.popleft() for _ in range(len(self._freed))]

    def receive(self, seconds: float | None) -> tuple[Any] | None:
        """(the next message,); None if it is not here in time. Raises EOFError as `Channel.receive`."""
        body = self._channel.receive(seconds)
        if body is None:
            return None
        number, size, dropped, packed = pickle.loads(body)
        for old in dropped:
            self._memory.pop(old, None)
        if number is None:
            return (pickle.loads(packed),)
        if number not in self._memory:
            fd = self._channel.take_fd()
            try:
                self._memory[number] = _mapped(fd, size)
            finally:
                os.close(fd)
        lease = self._memory[number].numpy()  # a new object: the message's tensors keep it alive, and nothing else does
        freed, leases = self._freed, self._leases

        def give_back(_: object) -> None:
            leases.pop(number, None)
            freed.append(number)

        leases[number] = weakref.ref(lease, give_back)
        return (_Unpacked(packed, lease).load(),)


class _Packed(pickle.Pickler):
    """An object without its tensors, and where they go."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        super().__init__(self._out, pickle.HIGHEST_PROTOCOL)
        self._places: dict[tuple[Any, ...], tuple[int, Tensor]] = {}
        self.size = 0

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return None
        # What is only repeated goes once, and so does what several tensors look at.
        once = obj[tuple(slice(1) if stride == 0 else slice(None) for stride in obj.stride())] if obj.dim() else obj
        key = once.data_ptr(), once.dtype, tuple(once.shape), once.stride()
        if key not in self._places or not once.numel():
            self._places[key] = self.size, once
            self.size += -(-max(1, once.numel() * once.element_size()) // ALIGN) * ALIGN
        return self._places[key][0], once.dtype, tuple(once.shape), tuple(obj.shape)

    def body(self) -> bytes:
        return self._out.getvalue()

    def copy_to(self, memory: Tensor) -> None:
        for place, tensor in self._places.values():
            size = tensor.numel() * tensor.element_size()
            memory[place : place + size].view(tensor.dtype).view(tensor.shape).copy_(tensor)


class _Unpacked(pickle.Unpickler):
    def __init__(self, body: bytes, memory: np.ndarray) -> None:
        super().__init__(io.BytesIO(body))
        self._memory = memory

    def persistent_load(self, place: Any) -> Tensor:
        start, dtype, once, shape = place
        as_numpy = torch.empty(0, dtype=dtype, device="cpu").numpy().dtype
        data = self._memory[start : start + math.prod(once) * as_numpy.itemsize]
        return torch.from_numpy(data.view(as_numpy).reshape(once)).expand(shape)


def _unnamed() -> int:
    """A descriptor of memory that no folder lists, of no size yet."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ups_data", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="ups_data-") as file:
        return os.dup(file.fileno())


def _mapped(fd: int, size: int) -> Tensor:
    """The memory of a descriptor, which may be closed after."""
    return torch.from_file(f"/dev/fd/{fd}", shared=True, size=size, dtype=torch.uint8, device="cpu")
