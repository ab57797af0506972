"""Batches on a device, copied there while the step before is computed."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ups_data.batch import QueryBatch
from ups_data.loader.protocol import Batches


class DeviceLoader:
    """A `QueryLoader` or a mixture whose batches arrive on a device, the next one on its way while one is used.

    On CUDA the copies run on a stream of their own, from page-locked memory. Everything but iteration is the
    loader's own.
    """

    def __init__(self, loader: Batches, device: torch.device) -> None:
        self.loader, self.device = loader, device
        self._state: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __repr__(self) -> str:
        return f"{self.loader!r}.to({str(self.device)!r})"

    def state_dict(self) -> dict[str, Any]:
        """As the loader's, counted by the batches handed out, not by those on their way."""
        return {**self.loader.state_dict(), **(self._state or {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.loader.load_state_dict(state)
        self._state = None

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch."""
        self.loader.set_epoch(epoch)
        self._state = None

    def __iter__(self) -> Iterator[QueryBatch]:
        stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        on_the_way: deque[tuple[QueryBatch, QueryBatch, torch.cuda.Event | None, dict[str, Any]]] = deque()
        for batch in self.loader:
            on_the_way.append((batch, *self._send(batch, stream), self.loader.place()))
            if len(on_the_way) > 1:
                yield self._receive(*on_the_way.popleft())
        while on_the_way:
            yield self._receive(*on_the_way.popleft())

    def _send(
        self, batch: QueryBatch, stream: "torch.cuda.Stream | None"
    ) -> tuple[QueryBatch, "torch.cuda.Event | None"]:
        if stream is None:
            return batch.to(self.device), None
        with torch.cuda.stream(stream):
            moved = batch.to(self.device, non_blocking=True)
            event = torch.cuda.Event()
            event.record(stream)
        return moved, event

    def _receive(
        self, host: QueryBatch, moved: QueryBatch, event: "torch.cuda.Event | None", state: dict[str, Any]
    ) -> QueryBatch:
        if event is not None:
            # The host's buffers are used again as soon as `host` is gone, so the copy must have ended by then.
            event.synchronize()
            current = torch.cuda.current_stream(self.device)
            moved.for_each_tensor(lambda tensor: tensor.record_stream(current))
        self._state = state
        return moved
