"""What training reached."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from ups_data.cli.tables.sheet import Sheet
from ups_data.training.loop import TrainResult


def summary(result: TrainResult) -> Sheet:
    """What the run reached, against what it had to beat."""
    table = Sheet("", "nRMSE on the dense validation grid", text=("",))
    rows = {"untrained": result.untrained_nrmse, "persistence": result.persistence_nrmse, "trained": result.valid_nrmse}
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, f"{value:.4f}")
    return table


def comparison(histories: Mapping[str, Mapping[str, Any]]) -> Sheet:
    """Several runs side by side: run → its `history.json`."""
    table = Sheet("", *histories, title="training", text=("",))
    last = [h["epochs"][-1] for h in histories.values()]
    table.add_row("queries per sample", *(f"{e['queries']:,}" for e in last))
    medians = [median(e["step_seconds_median"] for e in h["epochs"]) for h in histories.values()]
    table.add_row("time per step, ms", *(f"{1e3 * m:.0f}" for m in medians))
    table.add_row("peak memory, MB", *(f"{h['peak_memory_mb']:.0f}" for h in histories.values()))
    for name in ("untrained", "persistence", "trained"):
        values = [h[f"{'valid' if name == 'trained' else name}_nrmse"] for h in histories.values()]
        if None not in values:
            table.add_row(f"validation nRMSE, {name}", *(f"{v:.4f}" for v in values))
    return table
