"""`ups-data simulate`."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Argument(help="The HDF5 file to write.")],
    trajectories: Annotated[int, typer.Option(min=1, help="Number of runs; run i starts from seed + i.")] = 40,
    size: Annotated[int, typer.Option(min=2, help="Cells along each axis.")] = 64,
    steps: Annotated[int, typer.Option(min=2, help="Frames in t = 0 to 5, the first one included.")] = 21,
    seed: Annotated[int, typer.Option(min=0, help="The first run's seed.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")] = False,
) -> None:
    """Simulate diffusion–reaction, in PDEBench's layout."""
    from ups_data.cli.problems.pdebench_file import write_simulations
    from ups_data.cli.progress import counting

    with counting("trajectories") as bar:
        task = bar.add_task("simulating", total=trajectories)
        write_simulations(
            out,
            trajectories=trajectories,
            size=size,
            steps=steps,
            seed=seed,
            force=force,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    print(f"{out}: {trajectories} trajectories, {steps} frames of {size}×{size}, fields u and v in `data`")
