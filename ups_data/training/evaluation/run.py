"""`evaluate_run`: every measure of a trained model on a split."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ups_data.errors import UpsDataError
from ups_data.loader.stretches.stretches import Stretches
from ups_data.models.protocol import decodes_in_parts
from ups_data.schema import Manifest
from ups_data.training.device import device_of
from ups_data.training.evaluation.compare import Comparison
from ups_data.training.evaluation.kept import Kept
from ups_data.training.evaluation.report import Report, report_of
from ups_data.training.evaluation.sizes import Sizes
from ups_data.training.evaluation.tally import Tally
from ups_data.training.forecast.forecast import Forecast, fills_of
from ups_data.training.forecast.loaders import are_large, dense_loader, fields_of
from ups_data.training.forecast.rolling import check_rolls, rolled_fields
from ups_data.training.forecast.scales import Scales
from ups_data.training.runs.trained import trained_run

CHUNK = 16384  # points of a sample that are decoded at once


def evaluate_run(
    out: str | Path,
    *,
    split: str = "test",
    rollout: int | None = None,
    chunk: int | None = CHUNK,
    data: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    model: nn.Module | None = None,
    trust_target: bool = False,
    kept: Kept | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Predict every point of a split with a run's model and compare, in physical units.

        report = evaluate_run("runs/dr", split="test", rollout=20)
        report.values["nrmse"], report.values["fields"]["u"]["vrmse"], report.values["steps"][3]["nrmse"]

    Where `torch.distributed` is initialised, every rank calls this, predicts its share of the samples, and gets the
    figures of all.

    Args:
        out: the run's folder.
        split: of its dataset.
        rollout: K, steps from every frame that has K frames after it; each step's input is what was predicted. None:
            the steps that the model was trained on.
        chunk: points of a sample that are decoded at once, None: all. The sample is encoded once. Without effect on a
            model that has no `encode` and `decode`, see `models.protocol.Model`, unless it is given.
        data: another dataset with the same fields; None: the run's own.
        batch_size: None: that of the training, less if frames are large.
        model, trust_target: see `load_trained`.
        kept: receives the frames that pictures are made of.
        progress: called with (batches done, batches in all).

    Raises:
        UpsDataError: no such run or split, data that lack a field, or a rollout whose inputs are not predicted.
    """
    run = trained_run(out, model=model, trust_target=trust_target)
    root = run.config.data.root if data is None else str(data)
    manifest = run.manifest if data is None else Manifest.load(root)
    manifest.split(split)
    inputs, targets = fields_of(run.config, run.manifest, manifest)
    horizon = run.config.data.horizon
    steps = horizon if rollout is None else rollout
    rolls = rolled_fields(manifest, inputs, targets)
    if steps > max(1, horizon):
        check_rolls(run.config, manifest, inputs, targets, steps)
    elif rollout is not None and rollout < 1:
        raise UpsDataError(f"rollout={rollout}: give the number of steps, 1 or more")
    sizes = Sizes(manifest, targets)
    dense = run.config.data.inputs is None and run.config.data.input_stride == 1
    persists = steps > 0 and set(targets) <= set(inputs)
    scales = Scales.of(run.config, run.manifest, manifest)
    where = device_of(device)
    network = run.model.to(where)
    read = [*targets, *(name for name in sizes.fields.values() if name not in targets)]
    part_by_part = chunk is not None and decodes_in_parts(network) and are_large(run.config, manifest, split, read)
    loader = dense_loader(
        run.config,
        root,
        manifest,
        split,
        inputs=inputs,
        targets=read,
        horizon=steps,
        batch_size=batch_size,
        input_queries=persists and not dense,
        stored_coords=scales.differ,
        few_targets=part_by_part,
    )
    stretches = Stretches(loader, lambda part: scales(part.to(where))) if part_by_part else None
    forecast = Forecast(
        network,
        channels={
            name: {f: manifest.field(f).channels for f in targets if manifest.field(f).point_set == name}
            for name in {manifest.field(f).point_set for f in targets}
        },
        horizon=horizon,
        chunk=chunk if chunk != CHUNK or decodes_in_parts(network) else None,
        rolls=rolls,
        dense=dense,
        fills=fills_of(manifest),
        moving=frozenset(n for n in manifest.set_names if manifest.grid is None and manifest.point_set(n).moving),
    )
    if chunk is not None and chunk < 1:
        raise UpsDataError(f"chunk={chunk}: give the number of points that are decoded at once, 1 or more")
    means = training_means(run.manifest, run.config.data.train_split, targets, where)
    tally = Tally(("model", "mean", *(["persistence"] if persists else [])), targets, max(1, steps))
    grid = None if manifest.grid is None or manifest.is_masked(split) else manifest.grid.shape
    comparison = Comparison(tally, manifest, targets, sizes, means, grid, forecast.fills, kept)
    with torch.no_grad():
        for number, batch in enumerate(loader):
            frames = None if stretches is None else stretches.of(int(batch.trajectory[0]), int(batch.step[0]))
            comparison.add(scales(batch.to(where)), forecast, frames)
            progress(number + 1, len(loader))
    tally.merge()
    return report_of(tally, manifest, run=str(out), data=root, split=split, rollout=rollout, chunk=forecast.chunk)


def training_means(manifest: Manifest, split: str, fields: list[str], device: torch.device) -> Mapping[str, Tensor]:
    """Field → its mean over the training split, `(C,)` in physical units: what the mean baseline predicts."""
    statistics = manifest.split(split).statistics
    return {name: torch.tensor(statistics[name].mean, dtype=torch.float64, device=device) for name in fields}
