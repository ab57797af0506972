"""The whole path in three minutes: simulation → shards → loader → training on all points, and on a tenth of them."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ups_data import QueryLoader, QuerySampling
from ups_data.cli.errors import run
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest

TOOLS = Path(__file__).parent
CONFIG = TOOLS.parent / "configs" / "quickstart.yaml"
RATIOS = {"dense": 1.0, "10 %": 0.1}

app = typer.Typer(add_completion=False, help=__doc__)
console = Console()


@app.command()
def main(
    data: Annotated[Path | None, typer.Option(help="A file of simulations, instead of simulating some.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything; must be new or empty.")] = Path("runs/quickstart"),
    overrides: Annotated[
        list[str] | None, typer.Argument(help="section.key=value for configs/quickstart.yaml.")
    ] = None,
) -> None:
    if out.exists() and any(out.iterdir()):
        raise UpsDataError(f"{out} is not empty: remove it, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()

    console.rule("1. simulation files")
    if data is None:
        data = out / "simulation.h5"
        tool("simulate.py", data, "--trajectories", 24)
    console.rule("2. shards")
    root = out / "shards"
    tool("make_shards.py", data, "--out", root)
    if "valid" not in Manifest.load(root).splits:
        raise UpsDataError(f"{data}: one trajectory leaves none to validate on: give a file with at least two")
    console.rule("3. loader")
    console.print(throughput(root))
    console.rule("4. training")
    histories = {}
    for name, ratio in RATIOS.items():
        console.print(f"[bold]{name}[/bold]")
        folder = out / f"train-{ratio:g}"
        options = [f"data.root={root}", f"data.horizon={horizon(root)}", f"out={folder}", *(overrides or [])]
        tool("train.py", CONFIG, *options, f"training.query_sample_ratio={ratio}")
        histories[name] = json.loads((folder / "history.json").read_text())
    console.rule("5. what came of it")
    console.print(comparison(histories))
    pictures = draw(root, out, histories)
    console.print(f"took {time.perf_counter() - begun:.0f} s; everything is in {out}:")
    for file, what in {"shards": "the dataset", "train-1, train-0.1": "checkpoints and histories", **pictures}.items():
        console.print(f"  {file:20s} {what}")


def tool(name: str, *arguments: object) -> None:
    """Run another tool as its user would; each in a process of its own, so that peak memory is its own."""
    status = subprocess.run([sys.executable, str(TOOLS / name), *map(str, arguments)]).returncode
    if status:
        sys.exit(status)


def horizon(root: Path) -> int:
    """One step ahead; 0, the frame itself, where the simulation has no time."""
    shards = Manifest.load(root).split("train").shards
    return min(1, max(steps for shard in shards for steps in shard.steps) - 1)


def throughput(root: Path, seconds: float = 2.0) -> Table:
    """Batches as fast as the loader gives them, nothing done with them."""
    table = Table("points", "queries", "samples/s", "batch MB", title="loader, batches of 8, files in the page cache")
    for name, ratio in RATIOS.items():
        sampling = QuerySampling(ratio=ratio, mode="stratified")
        loader = QueryLoader(
            root, split="train", batch_size=8, sampling=sampling, horizon=horizon(root), drop_last=False
        )
        batch = next(iter(loader))
        samples, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds:
            samples += sum(len(b) for b in loader)
        queries = batch.target_queries.index.shape[-1]
        table.add_row(name, f"{queries:,}", f"{samples / spent:,.0f}", f"{batch.nbytes() / 1e6:.2f}")
    return table


def comparison(histories: dict[str, dict[str, Any]]) -> Table:
    table = Table("", *histories, title="training")
    steps = {n: h["epochs"][-1] for n, h in histories.items()}
    table.add_row("queries a sample", *(f"{e['queries']:,}" for e in steps.values()))
    medians = (median(e["step_seconds_median"] for e in h["epochs"]) for h in histories.values())
    table.add_row("time per step, ms", *(f"{1e3 * m:.0f}" for m in medians))
    table.add_row("peak memory, MB", *(f"{h['peak_memory_mb']:.0f}" for h in histories.values()))
    for key, name in (("untrained", "untrained"), ("persistence", "predicting no change"), ("valid", "trained")):
        values = [h[f"{key}_nrmse"] for h in histories.values()]
        if None not in values:
            table.add_row(f"validation nRMSE, {name}", *(f"{v:.4f}" for v in values))
    return table


def draw(root: Path, out: Path, histories: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Draw the sampled batch, the loss curves and a prediction; file → what it shows."""
    from ups_data.cli.pictures import plot_losses, plot_prediction, plot_sample
    from ups_data.training import load_trained

    plot_sample(
        root, out / "sample.png", split="train", sampling=QuerySampling(ratio=0.1, mode="stratified"), number=10
    )
    plot_losses({name: h["epochs"] for name, h in histories.items()}, out / "losses.png")

    model, loader = load_trained(out / f"train-{RATIOS['10 %']:g}")
    batch = next(iter(loader))
    name = next(iter(batch.target_queries.values))
    truth = batch.target_queries.values[name][-1]
    predicted = model.predict(batch.inputs, batch.dt, batch.params)[name][-1]
    frames = {"truth": truth, "predicted": predicted, "difference": predicted - truth}
    if name in batch.inputs.fields:
        frames = {"input": batch.inputs.fields[name][-1], **frames}
    plot_prediction(
        {title: f[:, 0].numpy() for title, f in frames.items()},
        batch.inputs.coords[0].numpy(),
        batch.inputs.grid_shape,
        out / "prediction.png",
    )
    return {
        "sample.png": "a dense input, and the points drawn from its target",
        "losses.png": "loss and validation error of both runs",
        "prediction.png": "a validation frame, predicted by the run on 10 % of the points",
    }


if __name__ == "__main__":
    run(app)
