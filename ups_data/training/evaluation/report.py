"""What an evaluation found, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ups_data.schema import Manifest
from ups_data.training.evaluation.metrics import BY_VOLUME
from ups_data.training.evaluation.spectra import bands_of
from ups_data.training.evaluation.tally import Tally, by_volume


@dataclass(frozen=True)
class Report:
    """Measures of a model on a split.

    Attributes:
        values: ready for JSON. `nrmse`, `vrmse`, `rel_l1`, `rel_l2`, `max_error`: means over frames, then over fields
            (of `max_error` the largest), None where errors are not finite; `fields`: the same of each field, with
            `units` where they are known, `bands` on grids, `integral` and `by_volume` (the first four, weighted by the
            sizes of the points' cells) where sizes are known, `nonfinite` where frames are; `baselines`: the same of
            `mean` and `persistence` (None if the targets are not among the inputs);
            `steps`: the same of every step, with its `dt`; `points`, `samples`: how many were predicted.
    """

    values: dict[str, Any]


def report_of(tally: Tally, manifest: Manifest, **about: Any) -> Report:
    """The report of a tally; `about` comes first."""
    steps = [_figures(tally, manifest, step) | {"step": step + 1, "dt": dt} for step, dt in enumerate(tally.dt())]
    return Report(
        {**about, "samples": tally.samples, "points": tally.points, **_figures(tally, manifest), "steps": steps}
    )


def _figures(tally: Tally, manifest: Manifest, step: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = _nested(tally.overall("model", tally.fields, step))
    found["fields"] = {}
    for name in tally.fields:
        of_field: dict[str, Any] = _nested(tally.measures("model", name, step))
        shells = tally.shells(name, step)
        if shells is not None and manifest.grid is not None and "nonfinite" not in of_field:
            points = 1
            for n in manifest.grid.shape:
                points *= n
            of_field["bands"] = bands_of(shells, points)
        if (units := manifest.field(name).units) is not None:
            of_field["units"] = units
        found["fields"][name] = of_field
    found["baselines"] = {"mean": None, "persistence": None}
    for name in tally.predictors[1:]:
        of_fields = {field: _nested(tally.measures(name, field, step)) for field in tally.fields}
        found["baselines"][name] = _nested(tally.overall(name, tally.fields, step)) | {"fields": of_fields}
    return found


def _nested(measures: Mapping[str, float | None]) -> dict[str, Any]:
    """Measures by volume under a name of their own."""
    weighted = {name: by_volume(name) for name in BY_VOLUME if by_volume(name) in measures}
    found: dict[str, Any] = {name: value for name, value in measures.items() if name not in weighted.values()}
    return found | ({"by_volume": {name: measures[key] for name, key in weighted.items()}} if weighted else {})
