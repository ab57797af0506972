"""What an evaluation found, beside what it had to beat."""

from collections.abc import Mapping
from typing import Any

from ups_data.cli.tables.sheet import Sheet

PREDICTORS = ("model", "persistence", "mean")
MOST_STEPS = 24  # rows of the table of steps


def evaluation_table(values: Mapping[str, Any]) -> Sheet:
    """Every measure by field; `values` are those of a `Report`."""
    measures = {"nrmse": "nRMSE", "vrmse": "VRMSE", "rel_l1": "rel. L1", "max_error": "max. error"}
    samples = f"{values['samples']:,} sample{'' if values['samples'] == 1 else 's'}"
    title = f"{samples} of the split {values['split']!r}, {values['points']:,} points"
    table = Sheet("field", "predicted by", *measures.values(), title=title, text=("field", "predicted by"))
    several = len(values["fields"]) > 1
    for name in [*values["fields"], *(["all"] if several else [])]:
        for predictor in PREDICTORS:
            of = values if predictor == "model" else values["baselines"][predictor]
            if of is not None:
                of = of if name == "all" else of["fields"][name]
                table.add_row(name if predictor == "model" else "", predictor, *(number(of[m]) for m in measures))
        table.add_section()
    return table


def extras_table(values: Mapping[str, Any]) -> Sheet | None:
    """Bands of the error's spectrum, measures by volume and integrals, where there are any."""
    bands = [b for b in ("low", "mid", "high") if any(b in f.get("bands", {}) for f in values["fields"].values())]
    integrals = any("integral" in f for f in values["fields"].values())
    sized = {"nrmse": "nRMSE by volume", "vrmse": "VRMSE by volume"}
    if not any("by_volume" in f for f in values["fields"].values()):
        sized = {}
    if not bands and not integrals and not sized:
        return None
    headers = [*(f"error, {band} wavenumbers" for band in bands), *sized.values()]
    headers += ["error of the integral"] if integrals else []
    table = Sheet("field", *headers, text=("field",))
    for name, of in values["fields"].items():
        cells = [number(of.get("bands", {}).get(band)) for band in bands]
        cells += [number(of.get("by_volume", {}).get(measure)) for measure in sized]
        table.add_row(name, *cells, *([number(of.get("integral"))] if integrals else []))
    return table


def steps_table(values: Mapping[str, Any]) -> Sheet | None:
    """nRMSE by step, None for a single one; of many steps, some."""
    steps = values["steps"]
    if len(steps) < 2:
        return None
    known = [p for p in PREDICTORS if p == "model" or steps[0]["baselines"][p] is not None]
    table = Sheet("step", "lead time", *(f"nRMSE, {p}" for p in known), "VRMSE, model")
    every = -(-len(steps) // MOST_STEPS)
    for step in [*steps[:-1:every], steps[-1]]:
        cells = [step if p == "model" else step["baselines"][p] for p in known]
        table.add_row(step["step"], f"{step['dt']:.4g}", *(number(c["nrmse"]) for c in cells), number(step["vrmse"]))
    return table


def number(value: float | None) -> str:
    """Four digits."""
    return "–" if value is None else f"{value:.4g}"
