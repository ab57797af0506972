"""Adds the importance of tiles, which the sampling mode `importance` draws by, to a dataset that was made without."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ups_data.cli.errors import run
from ups_data.writing.add_importance import add_importance

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    metrics: Annotated[str, typer.Option(help="gradient,variance, or one of them.")] = "gradient,variance",
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"))
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("computing", total=None)
        manifest = add_importance(
            root,
            [m.strip() for m in metrics.split(",")],
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    tiles = "; ".join(f"{m}: {', '.join(map(str, k.values()))} tiles" for m, k in (manifest.importance or {}).items())
    print(f"{root}: {tiles}")


if __name__ == "__main__":
    run(app)
