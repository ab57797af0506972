"""`ups-data bench`."""

from pathlib import Path
from typing import Annotated

import typer

from ups_data.atomic import check_place, replacing


def bench(
    root: Annotated[str, typer.Argument(help="Folder or URL of the dataset.")],
    split: Annotated[str, typer.Option(help="Split to read.")] = "train",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a batch.")] = 16,
    ratio: Annotated[float, typer.Option(help="Queries ÷ points.")] = 0.1,
    input_ratio: Annotated[
        float | None,
        typer.Option(help="Encoder points ÷ points; default: all points of a grid, --ratio of a set of points."),
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="Sampling mode; default: blocks if the dataset has them, else stratified.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=0, help="Target frames; default: 1, or 0 if the simulations have no time.")
    ] = None,
    num_workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: threads of this process.")] = 0,
    threads: Annotated[int | None, typer.Option(min=0, help="Threads; default: cores, at most 4.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="How long to take batches.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")] = None,
) -> None:
    """Measure the loader's throughput on a dataset.

    Shows samples and batches per second, how long the loop waits, where the loader's time goes, and the bytes read for
    a sample. Nothing is done with the batches.
    """
    import json

    from rich.console import Console

    from ups_data.cli.progress import progress_bar
    from ups_data.cli.tables.throughput import throughput_table
    from ups_data.cli.throughput import measure, open_loader
    from ups_data.errors import shown

    if json_file is not None:
        check_place(json_file)
    console = Console(emoji=False)
    loader = open_loader(
        root,
        split=split,
        batch_size=batch_size,
        ratio=ratio,
        input_ratio=input_ratio,
        mode=mode,
        horizon=horizon,
        num_workers=num_workers,
        threads=threads,
    )
    with progress_bar(console=console, transient=True) as bar:
        task = bar.add_task("taking batches", total=seconds)
        measured = measure(loader, seconds, progress=lambda spent: bar.update(task, completed=min(spent, seconds)))
    console.print(throughput_table(f"{root}, split {split}, batches of {batch_size}", measured))
    if json_file is not None:
        dataset = {"dataset": str(root), "split": split, "batch_size": batch_size, "ratio": ratio}
        with replacing(json_file) as file:
            file.write(json.dumps({**dataset, **measured.figures()}, indent=1).encode() + b"\n")
        console.print(f"figures in {shown(json_file)}")
