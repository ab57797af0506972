"""The sections with curves: errors, losses, time."""

from ups_data.pages import section
from ups_data.training.report.charts import Curve, chart
from ups_data.training.report.recorded import Recorded, number

Points = list[tuple[float, float]]


def error_section(run: Recorded) -> str:
    """The error of every point of the validation split, against what had to be beaten."""
    curves, fields = [Curve("validation", _of_epochs(run, "valid_nrmse"))], dict[str, Points]()
    for entry in run.epochs:
        of_fields, epoch = entry.get("valid_fields"), number(entry.get("epoch"))
        for name, value in of_fields.items() if isinstance(of_fields, dict) and epoch is not None else ():
            if (error := number(value)) is not None and epoch is not None:
                fields.setdefault(str(name), []).append((epoch + 1, error))
    if len(fields) > 1:
        curves += [Curve(name, points) for name, points in fields.items()]
    for name, key in (("persistence baseline", "persistence_nrmse"), ("untrained", "untrained_nrmse")):
        if (value := number(run.history.get(key))) is not None:
            curves.append(Curve(name, [(0, value)], level=True))
    return section("Validation", [chart(curves, x="epoch", y="nRMSE, every point", log=True)])


def loss_section(run: Recorded) -> str:
    """The loss and its terms, and what steered them."""
    names = list(dict.fromkeys(name for step in run.steps for name in _terms(step)))
    names.sort(key=lambda name: name != "total")
    if len(names) == 2:  # the total is the only term
        names = names[:1]
    losses = [
        Curve(name, [(n, loss) for n, step in enumerate(run.steps) if (loss := number(_terms(step).get(name)))], True)
        for name in names[:8]
    ]
    rate = Curve("learning rate", _of_steps(run, "lr"))
    queries = Curve("queries", _of_steps(run, "queries"))
    pair = [
        chart([rate], x="step", y="learning rate", from_zero=True, half=True),
        chart([queries], x="step", y="queries per sample", from_zero=True, half=True),
    ]
    return section(
        "Losses",
        [chart(losses, x="step", y="loss, weighted terms", log=True), f'<div class="pair">{"".join(pair)}</div>'],
    )


def time_section(run: Recorded) -> str:
    """Where the time of the epochs went."""
    seconds, waited = _of_epochs(run, "seconds"), dict(_of_epochs(run, "data_seconds"))
    share = [(epoch, 100 * waited[epoch] / whole) for epoch, whole in seconds if whole > 0 and epoch in waited]
    medians = [(epoch, 1e3 * value) for epoch, value in _of_epochs(run, "step_seconds_median")]
    charts = [
        chart([Curve("step", medians)], x="epoch", y="time per step, median, ms", from_zero=True, half=True),
        chart([Curve("waited", share)], x="epoch", y="waited for data, % of the time", from_zero=True, half=True),
    ]
    return section("Time", [f'<div class="pair">{"".join(charts)}</div>'] if any(charts) else [])


def _terms(step: dict[str, object]) -> dict[str, object]:
    terms = step.get("loss")
    return terms if isinstance(terms, dict) else {}


def _of_steps(run: Recorded, name: str) -> Points:
    return [(n, value) for n, step in enumerate(run.steps) if (value := number(step.get(name))) is not None]


def _of_epochs(run: Recorded, name: str) -> Points:
    found = [(number(entry.get("epoch")), number(entry.get(name))) for entry in run.epochs]
    return [(epoch + 1, value) for epoch, value in found if epoch is not None and value is not None]
