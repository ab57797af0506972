"""Batches of chosen samples with points drawn in any mode, as often as one likes: what the noise is measured on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ups_data.batch import QueryBatch
from ups_data.loader.options import LoaderOptions, Sampling
from ups_data.loader.pipeline import SampleSource
from ups_data.models.protocol import QuerySets
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig


class Draws:
    """The training split's samples by number, with points of one sampling.

    Args:
        sampling: of every query set; every set of points has it.
        query_sets: those that the model needs beside the target queries.
    """

    def __init__(
        self,
        config: TrainConfig,
        manifest: Manifest,
        sampling: QuerySampling,
        query_sets: QuerySets,
        device: torch.device,
    ) -> None:
        of_sets: Sampling = sampling if manifest.sets is None else dict.fromkeys(manifest.sets, sampling)
        given: dict[str, Any] = {"input_queries": query_sets.input, "lattice_queries": False}
        given |= {"rank": 0, "world_size": 1}  # one rank measures for all
        options: LoaderOptions = config.data.loader_options(
            config.data.train_split, sampling=of_sets, batch_size=1, pad=False, threads=0, num_workers=0, **given
        )
        self._source, self._device = SampleSource(config.data.root, options), device
        self._pass = self._source.begun(0, 0)

    def __len__(self) -> int:
        """Samples of the split."""
        return len(self._source.table)

    def batch(self, numbers: Sequence[int], draw: int = 0) -> QueryBatch:
        """Those samples as one batch; every number of a draw has other points."""
        made = replace(self._pass, epoch=draw).make(0, [np.asarray(numbers)])
        return made[0].to(self._device)
