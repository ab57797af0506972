"""`ups-data export`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    root: Annotated[str, typer.Argument(help="Folder or URL of the dataset.")],
    to: Annotated[str, typer.Option(help="vtk (ParaView), netcdf (xarray), the_well (HDF5), or noether (zarr).")],
    out: Annotated[Path, typer.Option(help="Folder for the files, new or empty.")],
    split: Annotated[list[str] | None, typer.Option(help="A split to export; may be repeated; default: all.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the dataset, for the_well and noether; default: the last part of --out.")
    ] = None,
) -> None:
    """Write a dataset in a format that others read.

    Values are those of the dataset. Files are written aside and moved into place once all of them are whole.
    """
    from ups_data.cli.progress import counting
    from ups_data.cli.stopping import stopping
    from ups_data.errors import printable
    from ups_data.exporting import export_dataset

    with stopping(f"{out}: stopped, nothing was written"), counting("trajectories") as bar:
        task = bar.add_task("exporting", total=None, visible=False)
        written = export_dataset(
            root,
            out,
            to,
            splits=tuple(split or ()),
            name=name,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    size = f"{written.files:,} files, {written.bytes / 1e6:.1f} MB"
    print(printable(f"{out}: {written.trajectories:,} trajectories as {to}: {size}"))
