"""`ups-data simulate`."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from ups_data.errors import UpsDataError

PROBLEMS = ("diffusion-reaction", "airfoils", "particles", "heat-3d", "shocks")
MOST = 100_000  # runs, cells along an axis or particles, frames
CASES = {"diffusion-reaction": 40, "airfoils": 200, "particles": 12, "heat-3d": 12, "shocks": 40}


def simulate(
    problem: Annotated[str, typer.Argument(help=f"{', '.join(PROBLEMS)}; or a file to write, of the first.")],
    out: Annotated[Path | None, typer.Option(help="The file or folder to write.")] = None,
    trajectories: Annotated[
        int | None,
        typer.Option(
            "--cases", "--trajectories", min=1, max=MOST, help="Number of runs; default: by problem, 12 to 200."
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=2, max=MOST, help="Cells along each axis; number of particles.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=2, max=MOST, help="Frames, the first one included.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other runs.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace what exists at OUT.")] = False,
) -> None:
    """Simulate a problem, as files that are then converted.

    diffusion-reaction: grids 64×64 in time, in PDEBench's layout. airfoils: exact potential flow around shapes of
    different sizes, surface and volume, VTK files. particles: tracers that move, in LagrangeBench's layout. heat-3d:
    grids 16×16×16 in time, in PDEBench's layout. shocks: fronts that steepen and collide, grids 64×64 in time, in
    PDEBench's layout.
    """
    if problem not in PROBLEMS:  # a file: diffusion–reaction, the oldest problem here
        if out is not None:
            raise UpsDataError(f"no problem {problem!r}: choose one of {', '.join(PROBLEMS)}")
        if not Path(problem).suffix and (near := get_close_matches(problem, PROBLEMS, n=1)):
            raise UpsDataError(f"no problem {problem!r}: did you mean {near[0]!r}? A file is named as runs.h5")
        problem, out = PROBLEMS[0], Path(problem)
    if out is None:
        raise UpsDataError(f"--out is missing: write `ups-data simulate {problem} --out data/{problem}`")
    if problem == "airfoils" and (size is not None or steps is not None):
        raise UpsDataError("--size and --steps are not for airfoils, whose meshes differ in size: leave them out")
    from ups_data.cli.problems.writers import write_problem
    from ups_data.cli.progress import counting

    count = CASES[problem] if trajectories is None else trajectories
    with counting("trajectories") as bar:
        task = bar.add_task("simulating", total=count)
        said = write_problem(
            problem,
            out,
            cases=count,
            size=size,
            steps=steps,
            seed=seed,
            force=force,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    print(f"{out}: {said}")
