"""`ups-data latents`."""

from pathlib import Path
from typing import Annotated

import typer


def latents(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, whose encoder is used.")],
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the latents; default: latents in the dataset's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    trust_target: Annotated[
        bool, typer.Option("--trust-target", help="Import the model that the checkpoint names, if it is not built in.")
    ] = False,
) -> None:
    """Encode every frame once, to train an operator on.

    The latents lie in a folder that is named after the digest of the encoder. Training with data.latents=FOLDER and
    training.start_from=RUN then reads them instead of encoding; those of another encoder are refused.
    """
    from ups_data.cli.progress import counting
    from ups_data.cli.stopping import stopping
    from ups_data.errors import printable
    from ups_data.training.latents import write_latents

    with stopping("stopped, nothing was written"), counting("batches") as bar:
        task = bar.add_task("encoding", total=None, visible=False)
        folder = write_latents(
            run,
            root,
            out,
            device=device,
            trust_target=trust_target,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    print(printable(f"latents: {folder}"))
    print(printable(f"train on them with data.latents={folder} training.start_from={run}"))
