"""A loader whose batches bring stored latents along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ups_data.batch import QueryBatch
from ups_data.batch.latents import Latents
from ups_data.errors import UpsDataError
from ups_data.loader.device import DeviceLoader
from ups_data.loader.loader import QueryLoader
from ups_data.schema import MANIFEST, Manifest
from ups_data.store.claims import check_claims
from ups_data.store.root import open_store
from ups_data.store.shard import Shard
from ups_data.training.config import DataConfig
from ups_data.training.latents.digest import dataset_digest, encoder_digest
from ups_data.training.latents.write import FIELD

AGAIN = "start from the run whose encoder they are of (training.start_from), or make them: ups-data latents RUN DATASET"


class StoredLatents:
    """The latents of one split: `latents[trajectory, step]`, `(M, D)`.

    Args:
        folder: of the latents' dataset.
        split: of the dataset and of the latents.
        steps: frames of each trajectory of the dataset's split.

    Raises:
        UpsDataError: they have other trajectories or frames, or claim more than their files hold.
    """

    def __init__(self, folder: Path, split: str, steps: Sequence[int]) -> None:
        manifest = Manifest.load(folder)
        specs = manifest.split(split).shards
        if [count for spec in specs for count in spec.steps] != list(steps):
            raise UpsDataError(f"{folder}: has other frames in the split {split!r} than the dataset: {AGAIN}")
        check_claims(open_store(folder), manifest, specs)
        shards = [Shard(folder, manifest, spec) for spec in specs]
        self._where = [(shard, local) for shard in shards for local in range(len(shard.steps))]

    def __getitem__(self, frame: tuple[int, int]) -> np.ndarray:
        shard, local = self._where[frame[0]]
        return shard.frame(FIELD, local, frame[1])

    def frames(self, trajectory: Tensor, step: Tensor) -> Tensor:
        """`(*shape, M, D)` of frames by their numbers, both of one shape."""
        each = [self[int(t), int(s)] for t, s in zip(trajectory.flatten(), step.flatten(), strict=True)]
        return torch.from_numpy(np.stack(each)).unflatten(0, trajectory.shape)


class LatentLoader:
    """A `QueryLoader` whose batches have `latents`: `z0` of the input frame, `z1` of the target frames.

    Everything but iteration is the loader's own.

    Args:
        loader: of any points and fields; its encoder input may be left out (`input_fields=[]`).
        latents: of the loader's split.
    """

    def __init__(self, loader: QueryLoader, latents: StoredLatents) -> None:
        self.loader, self._latents = loader, latents

    def __getattr__(self, name: str) -> Any:
        if name in ("loader", "_latents"):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __repr__(self) -> str:
        return f"{self.loader!r} with latents"

    def __iter__(self) -> Iterator[QueryBatch]:
        stride, horizon = self.loader.options.dt_stride, self.loader.options.horizon
        for batch in self.loader:
            z0 = self._latents.frames(batch.trajectory, batch.step)
            ahead = batch.step[:, None] + stride * torch.arange(1, horizon + 1)
            z1 = self._latents.frames(batch.trajectory[:, None].expand(ahead.shape), ahead) if horizon else z0[:, None]
            yield replace(batch, latents=Latents(z0, z1 if horizon > 1 else z1[:, 0]))

    def to(self, device: torch.device | str) -> "LatentLoader | DeviceLoader":
        """This loader with batches that arrive on `device`."""
        device = torch.device(device)
        return self if device.type == "cpu" else DeviceLoader(self, device)


def with_latents(loader: QueryLoader, folder: str | Path, model: nn.Module, data: DataConfig) -> LatentLoader:
    """The loader with this model's stored latents beside its query sets.

        batch = next(iter(with_latents(loader, "data/dr/latents", model, config.data)))
        batch.latents.z0, batch.latents.z1  # (B, M, D) each

    Args:
        folder: that `write_latents` made, or the one above it, in which the digest of the encoder is looked up.
        model: whose encoder the latents must be of.
        data: what the encoder sees.

    Raises:
        UpsDataError: no latents there, or those of another encoder or another dataset.
    """
    folder, digest = Path(folder), encoder_digest(model, data)
    found = folder if (folder / MANIFEST).exists() else folder / digest[:16]
    if not (found / MANIFEST).exists():
        have = sorted(p.parent.name for p in folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []
        about = f"those of {', '.join(have)} are" if have else "none are"
        raise UpsDataError(f"{folder}: no latents of the encoder {digest[:16]} ({about} there): {AGAIN}")
    source: Mapping[str, str] = Manifest.load(found).source
    if "encoder" not in source:
        raise UpsDataError(f"{found}: a dataset, not latents of one: {AGAIN}")
    if source["encoder"] != digest:
        other = source["encoder"][:16]
        raise UpsDataError(f"{found}: latents of the encoder {other}, the model's is {digest[:16]}: {AGAIN}")
    if source.get("dataset") != dataset_digest(loader.manifest):
        raise UpsDataError(f"{found}: latents of another dataset than the loader's: {AGAIN}")
    split = loader.options.split
    steps = [count for spec in loader.manifest.split(split).shards for count in spec.steps]
    return LatentLoader(loader, StoredLatents(found, split, steps))
