"""What wraps a loader needs of it: `DeviceLoader` wraps a loader or a mixture, a mixture wraps loaders."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from ups_data.batch import QueryBatch
from ups_data.engine.stats import LoaderStats
from ups_data.schema import Manifest

Errors = Tensor | Mapping[str, Tensor]


class Batches(Protocol):
    """Batches epoch by epoch, with a state."""

    @property
    def epoch(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[QueryBatch]: ...

    def set_epoch(self, epoch: int) -> None: ...

    def place(self) -> dict[str, Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Mixable(Batches, Protocol):
    """Batches that a mixture can be made of."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def seed(self) -> int: ...

    @property
    def stats(self) -> LoaderStats: ...

    @property
    def ranks(self) -> tuple[int, int]: ...

    def seek(self, epoch: int, batch: int) -> None: ...

    def feedback(self, batch: QueryBatch, errors: Errors) -> None: ...

    def feedback_state(self) -> dict[str, Any]: ...

    def load_feedback_state(self, state: Mapping[str, Any]) -> None: ...
