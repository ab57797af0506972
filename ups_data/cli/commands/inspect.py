"""`ups-data inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from ups_data.atomic import check_place


def inspect(
    root: Annotated[str, typer.Argument(help="Folder or URL of the dataset.")],
    plot: Annotated[Path | None, typer.Option(help="Draw one sample into this PNG.")] = None,
    split: Annotated[str, typer.Option(help="Split to draw from.")] = "train",
    ratio: Annotated[float, typer.Option(help="Queries ÷ points, for the drawing.")] = 0.05,
    mode: Annotated[str, typer.Option(help="Sampling mode, for the drawing.")] = "stratified",
    html: Annotated[Path | None, typer.Option(help="Write all of it, with pictures, into this HTML page.")] = None,
    number: Annotated[int, typer.Option(min=0, help="Which sample of the split is drawn.")] = 10,
    splits_file: Annotated[
        Path | None, typer.Option(help="Write the names of each split's runs: JSON, YAML or CSV, for convert --splits.")
    ] = None,
) -> None:
    """Show what a dataset holds, and draw a sample.

    Prints fields, shapes, statistics and splits; --html writes them as a page with pictures, --splits-file which runs
    are in which split. With --plot, also draws a sample with its query points.
    """
    from rich.console import Console

    from ups_data.cli.tables.dataset import fields_table, geometry, splits_table, statistics_table
    from ups_data.errors import shown
    from ups_data.schema import Manifest
    from ups_data.store.root import open_store

    for place in (splits_file, html, plot):
        if place is not None:
            check_place(place)
    manifest = Manifest.load(open_store(root))
    console = Console(emoji=False)
    console.print(geometry(manifest))
    console.print(splits_table(manifest), fields_table(manifest), statistics_table(manifest))
    if splits_file is not None:
        from ups_data.conversion.splitting.naming import save_split_file

        runs = save_split_file(manifest, splits_file)
        console.print(f"written: {shown(splits_file)}: {runs} runs")
    if html is not None:
        from ups_data.card import write_page

        console.print(f"written: {shown(write_page(root, html))}", soft_wrap=True)
    if plot is not None:
        from ups_data.cli.pictures import plot_blocks, plot_sample
        from ups_data.sampling import QuerySampling

        sampling = QuerySampling(ratio=ratio, mode=mode)
        plot_sample(root, plot, split=split, sampling=sampling, number=number)
        console.print(f"drawn: {shown(plot)}")
        for picture in plot_blocks(root, manifest, split, plot):
            console.print(f"drawn: {shown(picture)}")
