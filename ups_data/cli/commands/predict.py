"""`ups-data predict`."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    data: Annotated[Path, typer.Argument(help="A dataset, or a file or folder of simulations.")],
    out: Annotated[Path, typer.Option(help="Folder for the predictions, new or empty.")],
    split: Annotated[str, typer.Option(help="Split to predict; of simulations, all are taken.")] = "test",
    format: Annotated[str, typer.Option(help="shards (a dataset), vtk (ParaView), or netcdf (xarray).")] = "shards",
    points: Annotated[
        Path | None, typer.Option(help="Points x, y(, z) to predict at: .npy, .csv or .txt; default: the data's own.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(help="Grid to predict on, as 512x512 in array order; default: the data's own.")
    ] = None,
    rollout: Annotated[
        int | None, typer.Option(help="Steps ahead from the first frame; default: one from every frame, or as trained.")
    ] = None,
    chunk: Annotated[int, typer.Option(help="Points of a sample that are decoded at once.")] = 16384,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    trust_target: Annotated[
        bool, typer.Option("--trust-target", help="Import the model that the checkpoint names, if it is not built in.")
    ] = False,
) -> None:
    """Write a trained model's predictions as files.

    The data need not have the fields that are predicted. Files are written aside and moved into place once all of them
    are whole.
    """
    from ups_data.cli.progress import counting
    from ups_data.cli.raw import as_dataset
    from ups_data.cli.stopping import stopping
    from ups_data.errors import printable
    from ups_data.exporting.aside import RESULT, set_aside
    from ups_data.training.prediction.files import check_format, write_predictions
    from ups_data.training.prediction.run import Asked, predict_run

    check_format(format)
    asked = Asked(split, points, resolution, rollout, chunk)
    with stopping(f"{out}: stopped, nothing was written"), set_aside(out) as aside, counting("trajectories") as bar:
        task = bar.add_task("predicting", total=None, visible=False)
        (scratch := aside / ".scratch").mkdir()
        with as_dataset(data, aside / ".converted", split) as root:
            trajectories = predict_run(
                run,
                root,
                scratch,
                asked,
                device=device,
                trust_target=trust_target,
                progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )
            about = {"predicted_by": str(run), "from": str(data)}
            write_predictions(trajectories, aside / RESULT, format, split=split, source=about)  # type: ignore[arg-type]  # checked
    print(printable(f"{out}: {bar.tasks[task].completed:.0f} trajectories of the split {split!r} as {format}"))
