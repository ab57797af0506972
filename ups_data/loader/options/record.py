"""`LoaderOptions`: every option of a loader, written once.

`QueryLoader`, `QueryDataset`, the identity of a loader's state and the `data:` section of a configuration are made of
this record. A new field here is a new keyword argument, a new key and, where it changes batches, a new part of the
identity.
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ups_data.errors import UpsDataError
from ups_data.loader.options.fields import option
from ups_data.loader.options.numbers import whole
from ups_data.loader.options.points import PointOptions, read_samplings
from ups_data.loader.options.storage import StorageOptions
from ups_data.plan import CANONICAL_RANKS
from ups_data.store.arrays.stored import Verify

DEFAULT_POOL_BYTES = 512 * 1024**2  # two shuffle groups: see plan.samples.GROUP_BYTES
# Half of the time after which NCCL gives up on a rank that waits for its data: the error that says why comes first.
DEFAULT_TIMEOUT = 300.0

OnDamage = Literal["raise", "skip"]
StartMethod = Literal["forkserver", "spawn"]

SAMPLES, READING, WORK = "Which samples", "How they are read", "Who does the work"


@dataclass(frozen=True, kw_only=True)
class LoaderOptions(StorageOptions, PointOptions):
    """Every option of a loader but the dataset's place.

        options = LoaderOptions(split="train", batch_size=16, sampling=QuerySampling(ratio=0.1))
        loader = QueryLoader("data/run", options)
        slower = QueryLoader("data/run", options, verify="always")

    Raises:
        UpsDataError: a value is not allowed; the message names the option and what to give.
    """

    split: str = option(SAMPLES, "One of the dataset's splits.", identity="apart")
    batch_size: int = option(
        SAMPLES, "Samples per rank and step; an epoch's order is planned in batches.", least=1, identity="apart"
    )
    shuffle: bool | None = option(
        SAMPLES,
        "Another order in every epoch. None: True for the split 'train', False elsewhere.",
        None,
        identity="always",
    )
    drop_last: bool | None = option(
        SAMPLES,
        "Leave out the samples that do not fill a global batch. None: True for the split 'train' without `pad`, False "
        "elsewhere. If False, the last batch is smaller, every sample comes once on any number of ranks, and each rank "
        "has as many batches.",
        None,
        identity="always",
    )
    pad: bool = option(
        SAMPLES,
        "Fill the last batch by repetition, so that all batches have one size; `QueryBatch.valid` marks the samples "
        "that count.",
        False,
        identity="always",
    )
    repeats: int = option(
        SAMPLES,
        "How often each sample comes in an epoch, each time with other points: long epochs of few meshes.",
        1,
        least=1,
        identity="always",
    )
    input_fields: Sequence[str] | None = option(
        SAMPLES, "Names of the fields that the encoder sees. None: all.", None, identity="apart"
    )
    target_fields: Sequence[str] | None = option(
        SAMPLES,
        "Names of the fields that are queried. None: all that change in time, or all if none does; without normals "
        "and the sizes of cells, which describe the mesh.",
        None,
        identity="apart",
    )
    input_steps: int = option(SAMPLES, "Frames that the encoder sees.", 1, least=1, identity="always")
    horizon: int = option(
        SAMPLES, "Target frames. 0: the input frame is its own target.", 1, least=0, identity="always"
    )
    dt_stride: int = option(SAMPLES, "Frames from one step to the next.", 1, least=1, identity="always")
    seed: int = option(SAMPLES, "Of the order and of the points.", 0, identity="always")
    rank: int | None = option(
        SAMPLES,
        "Number of this process among `world_size` processes. None: as `torch.distributed` says when the first pass "
        "begins.",
        None,
        least=0,
        identity="never",
    )
    world_size: int | None = option(
        SAMPLES, "Number of processes that share each global batch. None: see `rank`.", None, least=1, identity="never"
    )
    canonical_ranks: int = option(
        SAMPLES,
        "An epoch's global batches are the same for every number of ranks that divides it (and for any other, but for "
        "the last batch if it has fewer samples than there are ranks). Each rank of such a number reads its own share "
        "of the data, a rank of another number also some of its neighbours'.",
        CANONICAL_RANKS,
        least=1,
        identity="always",
    )
    pool_bytes: int = option(
        READING,
        "Room for decoded chunks in bytes. Uncompressed chunks are used where they are mapped, and need no room.",
        DEFAULT_POOL_BYTES,
        least=0,
        identity="never",
    )
    verify: Verify = option(
        READING,
        "When a chunk is compared with its checksum: when each process uses it 'first', 'always', or 'never'.",
        "first",
        choices=Verify,
        identity="never",
    )
    on_damage: OnDamage = option(
        READING,
        "'raise': a sample whose stored bytes are damaged or missing raises an `UpsDataError`. 'skip': another sample "
        "fills its place with weight 0, and `QueryBatch.valid` marks it; it is logged and counted. The number of "
        "batches, their sizes and all other samples stay what they are, on every rank alike. A sample is damaged if "
        "anything that it is made of is: of what is read block by block, the blocks that are drawn. A damaged manifest "
        "always raises.",
        "raise",
        choices=OnDamage,
        identity="never",
        loader_only=True,
    )
    max_damaged: int = option(
        READING,
        "If more different samples than this are found to be damaged on this rank, the loader raises. A damaged chunk "
        "takes the samples of all its frames along.",
        64,
        least=0,
        identity="never",
        loader_only=True,
    )
    threads: int | None = option(
        WORK,
        "Threads of this process that make batches. None: as many as cores, at most 4. 0: the calling thread makes "
        "them.",
        None,
        least=0,
        identity="never",
        loader_only=True,
    )
    num_workers: int = option(
        WORK,
        "Worker processes that make the batches instead: the same batches in the same order.",
        0,
        least=0,
        identity="never",
        loader_only=True,
    )
    prefetch: int = option(
        WORK,
        "What a thread (blocks of a few batches) or a worker process (batches) makes ahead.",
        2,
        least=1,
        identity="never",
        loader_only=True,
    )
    multiprocessing_context: StartMethod = option(
        WORK,
        "How worker processes start: 'forkserver' or 'spawn', so a script needs `if __name__ == \"__main__\":`; never "
        "'fork'.",
        "forkserver",
        identity="never",
        loader_only=True,
    )
    timeout: float | None = option(
        WORK,
        "Seconds that a batch may be waited for. If a read does not return, or a worker process does not answer, in "
        "this time, the loader raises. None: no limit. With `threads=0` nobody notices.",
        DEFAULT_TIMEOUT,
        identity="never",
        loader_only=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sampling", "inputs"):
            object.__setattr__(self, name, read_samplings(getattr(self, name)))
        for spec in dataclasses.fields(self):
            value, (least, choices) = getattr(self, spec.name), map(spec.metadata.get, ("least", "choices"))
            if spec.type is int or (spec.type == int | None and value is not None):
                object.__setattr__(self, spec.name, whole(spec.name, value, least))
            if choices is not None and value not in (*get_args(choices), spec.default):
                raise UpsDataError(f"{spec.name}={value!r}: choose one of {', '.join(get_args(choices))}")
        if self.multiprocessing_context not in get_args(StartMethod):
            raise UpsDataError(
                f"multiprocessing_context {self.multiprocessing_context!r}: give 'forkserver' or 'spawn'; threads, and "
                "zarrs' own, do not survive a fork, and a forked worker would wait for them for ever"
            )
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise UpsDataError(f"timeout is {self.timeout}: give seconds, or None for no limit")
        if self.inputs is not None and self.inputs is not False and self.input_steps > 1:
            raise UpsDataError(
                f"inputs= draws the encoder's points from one frame: input_steps is {self.input_steps}, give 1"
            )

    def identity(self) -> dict[str, Any]:
        """Name → value of the options that batches depend on, for the identity of a loader's state."""
        resolved = {"shuffle": self.shuffles, "drop_last": self.drops_last}
        return {
            spec.name: resolved.get(spec.name, getattr(self, spec.name))
            for spec in dataclasses.fields(self)
            if spec.metadata["identity"] == "always"
            or (spec.metadata["identity"] == "changed" and getattr(self, spec.name) != spec.default)
        }

    @property
    def shuffles(self) -> bool:
        """Whether each epoch has an order of its own."""
        return self.split == "train" if self.shuffle is None else self.shuffle

    @property
    def drops_last(self) -> bool:
        """Whether samples that do not fill a global batch are left out."""
        return (self.split == "train" and not self.pad) if self.drop_last is None else self.drop_last

    @property
    def num_threads(self) -> int:
        """Threads that make batches."""
        return min(4, os.cpu_count() or 1) if self.threads is None else self.threads
