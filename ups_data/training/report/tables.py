"""The sections with tables: epochs, configuration, data card."""

from collections.abc import Sequence
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.pages import table, text
from ups_data.schema import Manifest
from ups_data.training.config import TrainConfig
from ups_data.training.report.recorded import Recorded, number

MOST_EPOCHS = 60  # rows


def epochs_section(run: Recorded) -> str:
    """A row for each epoch, or for some of them if there are many."""
    entries, every = run.epochs, -(-len(run.epochs) // MOST_EPOCHS) or 1
    valid = [value for entry in entries if (value := number(entry.get("valid_nrmse"))) is not None]
    columns = [("epoch", "epoch"), ("queries", "queries"), ("lr", "learning rate"), ("loss", "loss")]
    columns += [("valid_nrmse", "validation nRMSE"), ("seconds", "time, s"), ("data_seconds", "waited, s")]
    rows: list[list[str]] = []
    best: int | None = None
    for place, entry in enumerate(entries):
        error = number(entry.get("valid_nrmse"))
        is_best = error is not None and error == min(valid)
        if is_best or place % every == 0 or place == len(entries) - 1:
            best = len(rows) if is_best else best
            loss = entry.get("loss")
            shown = {**entry, "loss": loss.get("total") if isinstance(loss, dict) else None}
            rows.append([_figure(shown.get(key), key) for key, _ in columns])
    if not rows:
        return ""
    note = f'<p class="note">Every {every}th epoch, the best and the last.</p>' if every > 1 else ""
    return f"<section><h2>Epochs</h2>{note}{table([name for _, name in columns], rows, best=best)}</section>"


def config_section(run: Recorded) -> str:
    """Every option that is not as by default, then all of them."""
    values, known = _flat(run.history.get("config")), _flat(TrainConfig(data={"root": ""}).model_dump(mode="json"))  # type: ignore[arg-type]
    if not values:
        return ""
    changed = [(key, value) for key, value in values.items() if known.get(key) != value]
    rest = [(key, value) for key, value in values.items() if known.get(key) == value]
    parts = [_options(changed)]
    if rest:
        parts.append(f"<details><summary>{len(rest)} options as by default</summary>{_options(rest)}</details>")
    return f"<section><h2>Configuration</h2>{''.join(parts)}</section>"


def data_section(run: Recorded) -> str:
    """What the dataset says of itself, if it is still where it was."""
    root = str(run.config("data", "root"))
    try:
        if "://" in root:  # a run's folder from elsewhere could name any address
            raise UpsDataError(f"{root}: not asked for: `ups-data inspect` shows it")
        manifest = Manifest.load(root)
    except (UpsDataError, OSError) as error:
        return f'<section><h2>Data</h2><p class="note">{text(error)}</p></section>'
    parts = [
        "<section><h2>Data</h2>",
        table(["", ""], _facts(manifest), numbers=False),
        "<h3>Fields</h3>",
        table(*_fields(manifest), numbers=False),
        "<h3>Splits</h3>",
        table(*_splits(manifest)),
        "</section>",
    ]
    return "".join(parts)


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    facts = [("source", ", ".join(f"{name}: {value}" for name, value in manifest.source.items()))]
    if manifest.grid is not None:
        facts.append(("grid", " × ".join(map(str, manifest.grid.shape))))
    for name in manifest.set_names if manifest.grid is None else []:
        points = manifest.point_set(name).num_points
        facts.append((f"points{'' if name is None else f', {name}'}", f"{points:,}" if points else "differ by sample"))
    facts.append(("parameters", ", ".join(manifest.params)))
    facts.append(("time", manifest.time_units or ""))
    codec = "uncompressed" if manifest.codec == "none" else manifest.codec
    facts.append(("stored as", f"{codec}, {manifest.blocks} block{'s' * (manifest.blocks > 1)} a frame"))
    return [(name, value) for name, value in facts if value]


def _fields(manifest: Manifest) -> tuple[list[str], list[list[str]]]:
    rows = []
    statistics = next((split.statistics for split in manifest.splits.values() if split.num_trajectories), {})
    for spec in manifest.fields:
        found = statistics.get(spec.name)
        mean, std = ("", "") if found is None else (_vector(found.mean), _vector(found.std))
        units = getattr(spec, "units", None) or ""
        rows.append([spec.name, f"{spec.channels}", "no" if spec.static else "in time", units, mean, std])
    return ["field", "channels", "changes", "unit", "mean", "standard deviation"], rows


def _splits(manifest: Manifest) -> tuple[list[str], list[list[str]]]:
    rows = [
        [name, f"{split.num_trajectories:,}", f"{sum(shard.rows for shard in split.shards):,}", f"{len(split.shards)}"]
        for name, split in manifest.splits.items()
    ]
    return ["split", "trajectories", "frames", "shards"], rows


def _vector(values: Sequence[float]) -> str:
    told = ", ".join(f"{value:.4g}" for value in values[:4])
    return told + (", …" if len(values) > 4 else "")


def _options(pairs: list[tuple[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{text(key)}</code></td><td><code>{text(value)}</code></td></tr>" for key, value in pairs
    )
    return f'<div class="scroll options"><table><tbody>{rows}</tbody></table></div>'


def _figure(value: Any, key: str) -> str:
    found = number(value)
    if found is None:
        return "" if value is None else "?"
    if key == "epoch":
        return f"{found + 1:.0f}"
    return f"{found:,.0f}" if key == "queries" else f"{found:.4g}"


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items() if isinstance(values, dict) else ():
        key = f"{prefix}{name}"
        flat |= _flat(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
    return flat
