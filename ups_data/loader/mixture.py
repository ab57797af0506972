"""`QueryMixture`: batches of several loaders, mixed by weight."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ups_data.batch import QueryBatch
from ups_data.batch.records import Errors
from ups_data.engine.stats import LoaderStats
from ups_data.errors import UpsDataError
from ups_data.loader.device import DeviceLoader
from ups_data.loader.position import Position
from ups_data.loader.protocol import Mixable
from ups_data.loader.state import VERSION, check_state, differences
from ups_data.plan import MixturePlan, plan_mixture
from ups_data.schema import Manifest


def mix(
    loaders: Sequence[Mixable],
    *,
    weights: Sequence[float],
    seed: int | None = None,
    epoch_batches: int | None = None,
) -> "QueryMixture":
    """Batches of several loaders, each of one of them, mixed by weight.

        mixture = mix([QueryLoader("data/2d", …), QueryLoader("data/3d", …)], weights=[3, 1])

    Args:
        loaders: of any datasets and samplings; `QueryBatch.source` is the number of the one a batch comes from.
        weights: share of the batches that each gets, up to a common factor.
        seed: of the mixture, None: the first loader's.
        epoch_batches: batches of an epoch of the mixture; None: until the first of the loaders is through once.

    Raises:
        UpsDataError: weights that do not fit, loaders of different ranks, bound to a device, or given twice.
    """
    return QueryMixture(loaders, weights=weights, seed=seed, epoch_batches=epoch_batches)


class QueryMixture:
    """Several loaders as one: see `mix`, which makes it. The loaders are the mixture's from then on. Each
    pass is the mixture's next epoch, as a loader's is.

    A batch is of one loader; `QueryBatch.source` tells which. `plan.plan_mixture` decides before anything is read, and
    alike on every rank: of any n batches in a row each loader has its share, and goes through its own epochs whole, one
    after another, across those of the mixture.
    """

    def __init__(
        self,
        loaders: Sequence[Mixable],
        *,
        weights: Sequence[float],
        seed: int | None = None,
        epoch_batches: int | None = None,
    ) -> None:
        self.loaders, self.weights = list(loaders), [float(w) for w in weights]
        _check(self.loaders)
        self.seed = self.loaders[0].seed if seed is None else seed
        self._epoch_batches = epoch_batches
        self._lengths: dict[tuple[int, ...], int] = {}
        self._position = Position(warns=True)
        _ = len(self)  # refuses weights that do not fit

    @property
    def manifests(self) -> list[Manifest]:
        """Of the datasets, one for each loader."""
        return [loader.manifest for loader in self.loaders]

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the next pass."""
        return self._position.epoch

    @property
    def stats(self) -> LoaderStats:
        """Totals over all loaders."""
        return sum((loader.stats for loader in self.loaders), LoaderStats())

    def __len__(self) -> int:
        """Batches of an epoch, the same on every rank."""
        lengths = tuple(len(loader) for loader in self.loaders)
        if lengths not in self._lengths:
            self._lengths[lengths] = len(self._plan(0))
        return self._lengths[lengths]

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch of the mixture, from its first batch."""
        self._position.seek(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the mixture and each of its loaders stand: see `QueryLoader.state_dict`."""
        return {**self.place(), "feedback": [loader.feedback_state() for loader in self.loaders]}

    def place(self) -> dict[str, Any]:
        """The state without what was fed back: small, for every batch."""
        epoch, batch = self._position.progress
        of_loaders = [loader.place() for loader in self.loaders]
        return {"version": VERSION, "epoch": epoch, "batch": batch, "plan": self._identity(), "loaders": of_loaders}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            UpsDataError: the state is of other loaders, datasets or weights; the message says what differs.
        """
        differ = differences(state.get("plan", {}), self._identity())
        for number, (loader, then) in enumerate(zip(self.loaders, state.get("loaders", ()), strict=False)):
            differ += differences(then.get("plan", {}), loader.place()["plan"], f"loader {number}: ")
        place = check_state(state, differ, len(self))
        for loader, fed_back in zip(self.loaders, state["feedback"], strict=True):
            loader.load_feedback_state(fed_back)
        for loader, then in zip(self.loaders, state["loaders"], strict=True):
            loader.seek(then["epoch"], then["batch"])
        self._position.seek(*place)

    def feedback(self, batch: QueryBatch, errors: Errors) -> None:
        """Tell the loader that the batch came from how large the errors were: see `QueryLoader.feedback`."""
        self.loaders[batch.source].feedback(batch, errors)

    def to(self, device: torch.device | str) -> "QueryMixture | DeviceLoader":
        """This mixture with batches that arrive on `device`, copied ahead; itself if that is the CPU.

        A batch is asked for one ahead, so the errors of the last batch of a loader's epoch may come in with the next.
        """
        device = torch.device(device)
        return self if device.type == "cpu" else DeviceLoader(self, device)

    def __iter__(self) -> Iterator[QueryBatch]:
        _check_ranks(self.loaders)
        with self._position.begun(len(self)) as (epoch, first):
            plan = self._plan(epoch)
            streams = self._streams(plan, first)
            try:
                for number, which in enumerate(plan.dataset[first:].tolist(), first):
                    batch = next(streams[which])
                    self._position.hand_out(epoch, number, len(plan))
                    yield batch.of_source(which)
            finally:
                for which, stream in streams.items():
                    stream.close()
                    self.loaders[which].end_threads()  # the next pass begins elsewhere

    def _streams(self, plan: MixturePlan, first: int) -> dict[int, Any]:
        """The batches of each loader that the rest of an epoch needs, from where it needs them on."""
        streams = {}
        for which, loader in enumerate(self.loaders):
            wanted = (plan.dataset[first:] == which).nonzero()[0]
            if len(wanted):
                place = first + int(wanted[0])
                loader.seek(int(plan.epoch[place]), int(plan.batch[place]))
                streams[which] = _endless(loader)
        return streams

    def _plan(self, epoch: int) -> MixturePlan:
        lengths = [len(loader) for loader in self.loaders]
        return plan_mixture(lengths, self.weights, seed=self.seed, epoch=epoch, epoch_batches=self._epoch_batches)

    def _identity(self) -> dict[str, Any]:
        return {
            "loaders": len(self.loaders),
            "weights": self.weights,
            "seed of the mixture": self.seed,
            "epoch_batches": len(self),
        }


def _endless(loader: Mixable) -> Iterator[QueryBatch]:
    """Epoch after epoch."""
    while True:
        yield from loader


def _check(loaders: list[Mixable]) -> None:
    if not loaders:
        raise UpsDataError("mix: no loader is given: give at least one, and a weight for each")
    for number, loader in enumerate(loaders):
        if isinstance(loader, DeviceLoader):
            raise UpsDataError(f"mix: loader {number} is bound to a device: mix first, then call .to() on the mixture")
        if isinstance(loader, QueryMixture) or not hasattr(loader, "seek"):
            raise UpsDataError(f"mix: loader {number} is a {type(loader).__name__}: give QueryLoaders")
    if len({id(loader) for loader in loaders}) < len(loaders):
        raise UpsDataError("mix: one loader is given twice: make a loader for each place")
    _check_ranks(loaders)


def _check_ranks(loaders: list[Mixable]) -> None:
    if len({loader.ranks for loader in loaders}) > 1:
        told = ", ".join(f"{rank} of {ranks}" for rank, ranks in (loader.ranks for loader in loaders))
        raise UpsDataError(f"mix: the loaders are of different ranks ({told}): give all the same rank and world_size")
