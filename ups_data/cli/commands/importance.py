"""`ups-data importance`."""

from pathlib import Path
from typing import Annotated

import typer


def importance(
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    metrics: Annotated[str, typer.Option(help="gradient,variance, or one of them.")] = "gradient,variance",
) -> None:
    """Add the importance of tiles to a dataset.

    The sampling mode `importance` draws by it. A dataset that was converted with --importance has it already.
    """
    from ups_data.cli.progress import counting
    from ups_data.errors import printable
    from ups_data.writing.add_importance import add_importance

    with counting("frames") as bar:
        task = bar.add_task("computing", total=None)
        manifest = add_importance(
            root,
            [m.strip() for m in metrics.split(",")],
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    tiles = "; ".join(f"{m}: {', '.join(map(str, k.values()))} tiles" for m, k in (manifest.importance or {}).items())
    print(printable(f"{root}: {tiles}"))
