"""`predict_run`: what a trained model says about a dataset, trajectory by trajectory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ups_data.errors import UpsDataError
from ups_data.loader.stretches.stretches import Stretches
from ups_data.models.protocol import decodes_in_parts
from ups_data.schema import Manifest
from ups_data.training.device import device_of
from ups_data.training.forecast.forecast import Forecast, fills_of
from ups_data.training.forecast.loaders import are_large, dense_loader, fields_of, seen_fields
from ups_data.training.forecast.parts import SetName
from ups_data.training.forecast.rolling import check_rolls, rolled_fields
from ups_data.training.forecast.scales import Scales
from ups_data.training.prediction.places import Places, at_points, at_resolution
from ups_data.training.prediction.runs import Predicted, Runs
from ups_data.training.prediction.times import times_of
from ups_data.training.runs.trained import TrainedRun, trained_run
from ups_data.trajectory import Trajectory

CHUNK = 16384
MOST_STEPS = 100_000  # of a rollout: all of them are kept until they are written


@dataclass(frozen=True)
class Asked:
    """What is predicted.

    Attributes:
        split: of the data.
        points: a file of points, see `places.at_points`; None: the data's own.
        resolution: points along each axis, as "512x512"; None: the data's own.
        rollout: K, steps ahead from the first frame that can be; None: as trained: one step from every frame, or the
            trained horizon from the first one.
        chunk: points of a sample that are decoded at once.
    """

    split: str = "test"
    points: Path | None = None
    resolution: str | None = None
    rollout: int | None = None
    chunk: int = CHUNK


def predict_run(
    out: str | Path,
    data: str | Path,
    scratch: Path,
    asked: Asked,
    *,
    device: str = "auto",
    model: nn.Module | None = None,
    trust_target: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Trajectory]:
    """The predictions of a run's model on every trajectory of a split, in order; none of the targets is needed.

        for trajectory in predict_run("runs/dr", "data/dr", Path("/tmp/scratch"), Asked(rollout=20)):
            trajectory.fields["u"][3]  # (H, W, C), float32, in physical units, at trajectory.time[3]

    Args:
        out: the run's folder.
        data: a dataset.
        scratch: an empty folder; the arrays of a trajectory lie there, and only until the next one is asked for.
        device, model, trust_target: see `evaluate_run`.
        progress: called with (trajectories done, trajectories in all).

    Raises:
        UpsDataError: no such run or split, data that lack a field, points outside the domain, a rollout whose inputs
            are not predicted, or of too many steps.
    """
    run = trained_run(out, model=model, trust_target=trust_target)
    manifest = Manifest.load(str(data))
    manifest.split(asked.split)
    inputs, targets = fields_of(run.config, run.manifest, manifest, needs_targets=False)
    specs = {name: run.manifest.field(name) for name in targets}
    horizon = run.config.data.horizon
    steps = max(1, horizon) if asked.rollout is None else asked.rollout
    if steps < 1 or asked.chunk < 1:
        raise UpsDataError(f"rollout={asked.rollout}, chunk={asked.chunk}: give 1 or more")
    if steps > MOST_STEPS:
        raise UpsDataError(f"rollout={steps}: give {MOST_STEPS:,} steps at most, and go on from the last frame")
    if steps > max(1, horizon):
        check_rolls(run.config, manifest, inputs, targets, steps)
    places = _places(manifest, asked)
    network = run.model.to(device_of(device))
    sets: dict[SetName, dict[str, int]] = {}
    for name, spec in specs.items():
        sets.setdefault(spec.point_set, {})[name] = spec.channels
    forecast = Forecast(
        network,
        channels=sets,
        horizon=horizon,
        chunk=asked.chunk if decodes_in_parts(network) or asked.chunk != CHUNK else None,
        rolls=rolled_fields(manifest, inputs, targets),
        dense=places is None and run.config.data.inputs is None and run.config.data.input_stride == 1,
        moving=frozenset(),
        fills=fills_of(manifest),
    )
    scales = Scales.of(run.config, run.manifest, manifest)
    seen, where = seen_fields(manifest, inputs, list(sets)), next(_tensors(network)).device
    part_by_part = decodes_in_parts(network) and are_large(run.config, manifest, asked.split, seen)
    loader = dense_loader(
        run.config,
        str(data),
        manifest,
        asked.split,
        inputs=inputs,
        targets=seen,
        horizon=0,
        stored_coords=scales.differ,
        every_frame=True,
        few_targets=part_by_part,
    )
    own = Stretches(loader, lambda part: scales(part.to(where))) if part_by_part and places is None else None
    units = {name: spec.units for name, spec in specs.items()}
    runs = Runs(data, manifest, asked.split, units, sets, places, scales)

    def plan(number: int) -> Predicted:
        time, named = runs.time(number), f"{data}: trajectory {number} of {asked.split!r}"
        given = run.config.data
        times = times_of(
            time,
            input_steps=given.input_steps,
            stride=given.dt_stride,
            horizon=horizon,
            steps=steps,
            gap=_gap(run),
            where=named,
        )
        return runs.begin(number, times, scratch)

    with torch.no_grad():
        current: Predicted | None = None
        for batch in loader:
            for row in range(len(batch)):
                if batch.valid is not None and not bool(batch.valid[row]):
                    continue
                number = int(batch.trajectory[row])
                if current is None or current.number != number:
                    if current is not None:
                        yield current.finished()
                        progress(current.number + 1, len(runs))
                    current = plan(number)
                frames = None if own is None else own.of(number, int(batch.step[row]))
                current.predict(scales(batch.part(row, row + 1).to(where)), forecast, frames)
        if current is not None:
            yield current.finished()
            progress(len(runs), len(runs))


def _places(manifest: Manifest, asked: Asked) -> Places | None:
    if asked.points is not None and asked.resolution is not None:
        raise UpsDataError("--points and --resolution: give one of them")
    if asked.points is not None:
        return at_points(manifest, asked.points)
    return None if asked.resolution is None else at_resolution(manifest, asked.resolution)


def _gap(run: TrainedRun) -> float:
    """The training's time from one step to the next, for frames that the data do not have."""
    step = run.manifest.split(run.config.data.train_split).time_step
    return run.config.data.dt_stride * (step.mean if step is not None and step.mean > 0 else 1.0)


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    yield torch.zeros(())
