"""What fewer query points save in the inverse losses, forward and backward, and what feeding errors back costs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, `benchmarks` is not on the path

import tempfile
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks.losses.costs import Cost, Setting, feedback_share, inverse_loss_costs
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.cli.errors import run
from ups_data.cli.tables.sheet import Sheet
from ups_data.models.config import ModelConfig
from ups_data.models.reference import build_model
from ups_data.training.config import DataConfig

app = typer.Typer(add_completion=False, help=__doc__)

RATIOS = (1.0, 0.75, 0.5, 0.3, 0.2, 0.1, 0.05)


@app.command()
def main(
    grid: Annotated[int, typer.Option(help="Points along each of two axes.")] = 128,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each ratio, in turn; the median counts.")] = 9,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    console = Console()
    setting = Setting(grid=(grid, grid), batch_size=batch_size, tokens=max(2, grid // 8), device=device)
    console.print(savings(inverse_loss_costs(setting, RATIOS, rounds), setting))
    step, feedback = feedback_cost(setting, ratio=0.1)
    share = 100 * feedback / step
    console.print(
        f"feedback at ratio 0.1: {1e3 * feedback:.2f} ms of a training step of {1e3 * step:.1f} ms, {share:.2f} %"
    )


def savings(costs: list[Cost], setting: Setting) -> Sheet:
    dense, title = costs[0], f"both inverse losses, {setting.grid}, batches of {setting.batch_size}, {setting.device}"
    table = Sheet("ratio", "queries", "ms", "faster by", "MB", "less memory by", title=title)
    for cost in costs:
        table.add_row(
            f"{cost.ratio:g}",
            f"{cost.queries:,}",
            f"{1e3 * cost.seconds:.1f}",
            f"{100 * (1 - cost.seconds / dense.seconds):.0f} %",
            f"{cost.bytes / 1e6:.0f}",
            f"{100 * (1 - cost.bytes / dense.bytes):.0f} %",
        )
    return table


def feedback_cost(setting: Setting, ratio: float) -> tuple[float, float]:
    """Seconds of a training step of the reference model, and of feeding its errors back."""
    with tempfile.TemporaryDirectory() as folder:
        root, steps = Path(folder) / "d", 17
        with ShardWriter(root) as writer:
            for number in range(4):
                u = np.random.default_rng(number).standard_normal((steps, *setting.grid, setting.channels), np.float32)
                writer.add({"u": u})
        sampling = QuerySampling(ratio=ratio, mode="importance", importance_metric="error")
        loader = QueryLoader(root, split="train", batch_size=setting.batch_size, sampling=sampling)
        data = DataConfig(root=str(root), batch_size=setting.batch_size)
        model = build_model(root, loader.manifest, data, ModelConfig(dim=setting.dim, tokens=setting.tokens))
        model = model.to(setting.device)
        optimiser = torch.optim.AdamW(model.parameters())
        return feedback_share(model, optimiser, loader.to(setting.device), loader.feedback)


if __name__ == "__main__":
    run(app)
