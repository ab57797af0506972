"""`QueryDataset`: the pipeline that yields light samples."""

from collections.abc import Sequence

from webdataset import DataPipeline
from webdataset.compat import FluidInterface

from ups_data.loader.pipeline import SampleSource
from ups_data.loader.selection import Ragged, Sampling
from ups_data.plan import CANONICAL_RANKS
from ups_data.schema import Manifest
from ups_data.store.arrays.stored import Verify
from ups_data.store.root import Root

DEFAULT_POOL_BYTES = 512 * 1024**2  # two shuffle groups: see plan.GROUP_BYTES


class QueryDataset(DataPipeline, FluidInterface):
    """A `webdataset.DataPipeline` of samples: `.map`, `.select`, `.with_epoch`, `.batched` and `WebLoader` work on it.

        QueryDataset("data/run", split="train", batch_size=16, sampling=QuerySampling(ratio=0.1))
            .select(lambda sample: sample.time > 1.0)
            .batched(16, collation_fn=query_collate)

    Samples are views into a pool of decoded frames; `query_collate` draws the points and makes the only copy. In worker
    processes (`WebLoader(..., num_workers=N)`) worker w yields the samples of batches w, w + N, ….

    Args:
        root: the dataset's folder, or an `ObjectStore` that it lies in.
        split: one of the manifest's splits.
        batch_size: samples per rank and step; the order of an epoch is planned in batches.
        sampling: which points of a frame are queried; where a dataset has several sets of points, set → sampling.
        inputs: which points the encoder sees; None: all of them, dense. By sets likewise.
        input_fields, target_fields: names of fields; None: all.
        input_steps: frames that the encoder sees.
        horizon: target frames; 0 makes the input frame its own target.
        dt_stride: frames from one step to the next.
        shuffle, drop_last: None: true for the split "train", false elsewhere. Without drop_last the last batch is
            smaller; every sample comes once, on any number of ranks, and every rank has as many batches.
        pad: fill the last batch by repetition instead, so that all have one size: see `QueryBatch.valid`.
        canonical_ranks: an epoch's global batches are the same for every number of ranks that divides it (and for any
            other, but for the last batch where it has fewer samples than there are ranks); each rank of such a number
            reads its own share of the data, of another number some of its neighbours' too.
        seed: of order and points.
        pool_bytes: room for decoded chunks (raw chunks are used where they are mapped).
        rank, world_size: None: from `torch.distributed` where it is initialised.
        input_queries: whether to draw points of the input frame too.
        lattice_queries: whether to draw a coarse grid for the inverse-decoding loss; needs a grid.
        input_stride: the encoder sees every s-th point of a grid along each axis, queries come from all.
        ragged: where trajectories have different numbers of points, "sample" draws as many queries of each as of the
            smallest, "pad" its own share of each, in rows padded to the longest, with a mask.
        repeats: how often each sample comes in an epoch, each time with other points: long epochs of few meshes.
        verify: when a chunk is compared with its checksum: as each process "first" uses it, "always", or "never".

    Raises:
        UpsDataError: no dataset there, an unknown split or field, more queries than points, a horizon longer than
            every trajectory, or too few samples for one batch.
    """

    def __init__(
        self,
        root: Root,
        *,
        split: str,
        batch_size: int,
        sampling: Sampling,
        inputs: Sampling | None = None,
        input_fields: Sequence[str] | None = None,
        target_fields: Sequence[str] | None = None,
        input_steps: int = 1,
        horizon: int = 1,
        dt_stride: int = 1,
        shuffle: bool | None = None,
        drop_last: bool | None = None,
        seed: int = 0,
        pool_bytes: int = DEFAULT_POOL_BYTES,
        rank: int | None = None,
        world_size: int | None = None,
        input_queries: bool = True,
        lattice_queries: bool = False,
        input_stride: int = 1,
        ragged: Ragged = "sample",
        repeats: int = 1,
        verify: Verify = "first",
        pad: bool = False,
        canonical_ranks: int = CANONICAL_RANKS,
    ) -> None:
        self.source = SampleSource(
            root,
            split=split,
            batch_size=batch_size,
            sampling=sampling,
            inputs=inputs,
            input_fields=input_fields,
            target_fields=target_fields,
            input_steps=input_steps,
            horizon=horizon,
            dt_stride=dt_stride,
            shuffle=split == "train" if shuffle is None else shuffle,
            drop_last=split == "train" and not pad if drop_last is None else drop_last,
            seed=seed,
            pool_bytes=pool_bytes,
            rank=rank,
            world_size=world_size,
            input_queries=input_queries,
            lattice_queries=lattice_queries,
            input_stride=input_stride,
            ragged=ragged,
            repeats=repeats,
            verify=verify,
            pad=pad,
            canonical_ranks=canonical_ranks,
        )
        super().__init__(self.source.samples)

    @property
    def manifest(self) -> Manifest:
        return self.source.manifest

    def set_epoch(self, epoch: int) -> None:
        """Order and points of the passes to come are those of this epoch, in worker processes too."""
        self.source.set_epoch(epoch)
