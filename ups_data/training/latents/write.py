"""`write_latents`: every frame of a dataset through a run's encoder, once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ups_data.errors import UpsDataError
from ups_data.loader.loader import QueryLoader
from ups_data.schema import Manifest
from ups_data.training.device import device_of
from ups_data.training.forecast.loaders import dense_loader, fields_of, seen_fields
from ups_data.training.latents.digest import dataset_digest, encoder_digest
from ups_data.training.prediction.files import RESULT, set_aside
from ups_data.training.prediction.runs import Runs
from ups_data.training.runs.trained import trained_run
from ups_data.writing.folders import is_inside
from ups_data.writing.writer import ShardWriter

FIELD, FOLDER = "latent", "latents"


def write_latents(
    run: str | Path,
    root: str | Path,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    model: nn.Module | None = None,
    trust_target: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Encode every frame of every split, and store the latents as a dataset of their own: field `latent`, M tokens of D
    channels, the trajectories, times and splits of the dataset.

        folder = write_latents("runs/dr", "data/dr")  # data/dr/latents/5f0c…

    Args:
        run: the run's folder, whose encoder is used.
        root: the dataset.
        out: the folder in which the digest of the encoder names a new one; None: `latents` in the dataset's folder.
        device, model, trust_target: see `evaluate_run`.
        progress: called with (batches done, batches in all) of each split.

    Returns:
        the latents' folder; if this encoder's latents of this dataset are there already, nothing else is done.

    Raises:
        UpsDataError: no such run or dataset, a model that does not encode, or data that do not suit it.
    """
    trained = trained_run(run, model=model, trust_target=trust_target)
    manifest = Manifest.load(str(root))
    inputs, _ = fields_of(trained.config, trained.manifest, manifest, needs_targets=False)
    digest = encoder_digest(trained.model, trained.config.data)
    folder = (Path(root) / FOLDER if out is None else Path(out)) / digest[:16]
    source = {"encoder": digest, "dataset": dataset_digest(manifest), "run": str(run), "of": str(root)}
    if out is None and not is_inside(Path(root), folder):
        raise UpsDataError(f"{folder.parent}: is a link that leaves the dataset: name a folder with --out")
    if folder.exists():
        there = Manifest.load(folder).source
        if (there.get("encoder"), there.get("dataset")) != (source["encoder"], source["dataset"]):
            raise UpsDataError(f"{folder}: holds other latents: remove it, or give another folder")
        return folder
    network = trained.model.to(device_of(device))
    used = list(dict.fromkeys(manifest.field(name).point_set for name in inputs)) or manifest.set_names
    given = trained.config.data
    config = trained.config.model_copy(update={"data": replace(given, horizon=0)})
    with set_aside(folder) as aside, torch.no_grad():
        (scratch := aside / "scratch").mkdir()
        with ShardWriter(aside / RESULT, source=source) as writer:
            for split, spec in manifest.splits.items():
                if not spec.num_trajectories:
                    continue
                loader = dense_loader(
                    config,
                    str(root),
                    manifest,
                    split,
                    inputs=inputs,
                    targets=seen_fields(manifest, inputs, used),
                    horizon=0,
                    every_frame=True,
                )
                _write_split(network, loader, Runs(root, manifest, split, {}, {}, None), scratch, writer, progress)
    return folder


def _write_split(
    model: nn.Module,
    loader: QueryLoader,
    runs: Runs,
    scratch: Path,
    writer: ShardWriter,
    progress: Callable[[int, int], None],
) -> None:
    encoder: Any = model
    where = next(iter(model.parameters()), torch.zeros(())).device
    array: np.ndarray | None = None
    current = -1

    def close() -> None:
        if array is not None:
            time = runs.time(current)
            writer.add({FIELD: array}, split=runs.split, time=time, params=runs.params(current), key=f"{current:06d}")

    for done, batch in enumerate(loader):
        latent = as_tokens(encoder.encode(batch.to(where)), type(model).__name__).cpu().numpy()
        for row in range(len(batch)):
            if batch.valid is not None and not bool(batch.valid[row]):
                continue
            number, step = int(batch.trajectory[row]), int(batch.step[row])
            if number != current:
                close()
                current = number
                for path in scratch.iterdir():
                    path.unlink()
                # Frames that the encoder cannot see, before it has enough of them, stay 0.
                shape = (len(runs.time(number)), *latent.shape[1:])
                array = np.lib.format.open_memmap(scratch / "a.npy", mode="w+", dtype=np.float32, shape=shape)
            assert array is not None
            array[step] = latent[row]
        progress(done + 1, len(loader))
    close()


def as_tokens(latent: Any, origin: str) -> Tensor:
    """A latent as it is stored, `(B, M, D)` float32.

    Raises:
        UpsDataError: it is not one tensor of that shape.
    """
    if not isinstance(latent, Tensor) or latent.dim() != 3:
        kind = f"a tensor of shape {tuple(latent.shape)}" if isinstance(latent, Tensor) else type(latent).__name__
        raise UpsDataError(f"{origin}.encode gives {kind}: latents can be stored as one tensor (B, tokens, width)")
    return latent.float()
