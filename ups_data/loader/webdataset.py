"""`QueryDataset`: the pipeline that yields light samples."""

from typing import Any

import numpy as np
from webdataset import DataPipeline
from webdataset.compat import FluidInterface

from ups_data.loader.options import LoaderOptions, collected, takes_options
from ups_data.loader.pipeline import SampleSource
from ups_data.schema import Manifest
from ups_data.store.root import Root


@takes_options(LoaderOptions, loader_only=False)
class QueryDataset(DataPipeline, FluidInterface):
    """A `webdataset.DataPipeline` of samples: `.map`, `.select`, `.with_epoch`, `.batched` and `WebLoader` work on it.

        dataset = QueryDataset("data/run", split="train", batch_size=16, sampling=QuerySampling(ratio=0.1))
        late = dataset.select(lambda sample: sample.time > 1.0)
        batches = late.batched(16, collation_fn=query_collate)

    Samples are views into a pool of decoded frames; `query_collate` draws the points and makes the only copy. In worker
    processes (`WebLoader(..., num_workers=N)`, `DataLoader(..., collate_fn=query_collate)`) worker w yields the samples
    of batches w, w + N, …. Each pass is the next epoch, in worker processes too.

    Args:
        root: the dataset's folder or URL, or an `ObjectStore` that it lies in.
        options: a record of options, which keyword arguments win over.

    Raises:
        UpsDataError: there is no dataset there, a split or a field is unknown, there are more queries than points, the
            horizon is longer than every trajectory, or there are too few samples for one batch.
    """

    def __init__(self, root: Root, options: LoaderOptions | None = None, **given: Any) -> None:
        self.source = SampleSource(root, collected(LoaderOptions, options, given, caller="QueryDataset"))
        super().__init__(self.source.samples)

    def __len__(self) -> int:
        """The samples that a pass yields on this rank, over all worker processes."""
        plan, bounds = self.source.plan(self.source.passes.epoch), self.source.bounds
        full = self.source.options.batch_size * self.source.ranks.world_size
        short = np.flatnonzero(np.diff(bounds) != full)  # at most the last ones
        return (len(plan) - len(short)) * self.source.options.batch_size + sum(len(plan[n]) for n in short.tolist())

    @property
    def manifest(self) -> Manifest:
        """Of the dataset."""
        return self.source.manifest

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return self.source.passes.epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of this epoch, in worker processes too."""
        self.source.passes.set_epoch(epoch)
