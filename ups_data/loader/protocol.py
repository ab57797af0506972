"""What wraps a loader needs of it: `DeviceLoader` wraps a loader or a mixture, a mixture wraps loaders."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ups_data.batch import QueryBatch
from ups_data.batch.records import Errors
from ups_data.engine.stats import LoaderStats
from ups_data.schema import Manifest


class Batches(Protocol):
    """Batches epoch by epoch, with a state."""

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the next pass."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[QueryBatch]: ...

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch."""

    def place(self) -> dict[str, Any]:
        """The state without what was fed back."""

    def state_dict(self) -> dict[str, Any]:
        """Where the batches stand."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Mixable(Batches, Protocol):
    """Batches that a mixture can be made of."""

    @property
    def manifest(self) -> Manifest:
        """Of the dataset."""

    @property
    def seed(self) -> int:
        """Of the order and of the points."""

    @property
    def stats(self) -> LoaderStats:
        """Totals so far."""

    @property
    def ranks(self) -> tuple[int, int]:
        """The rank of this process, and the number of ranks."""

    def seek(self, epoch: int, batch: int) -> None:
        """Make the next pass begin with this batch of an epoch."""

    def end_threads(self) -> None:
        """See `QueryLoader`."""

    def feedback(self, batch: QueryBatch, errors: Errors) -> None:
        """Tell how large the model's errors were at each query."""

    def feedback_state(self) -> dict[str, Any]:
        """What was fed back."""

    def load_feedback_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `feedback_state` gave."""
