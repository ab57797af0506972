"""Each problem by its name."""

from collections.abc import Callable
from pathlib import Path

from ups_data.cli.problems.airfoil_files import write_airfoils
from ups_data.cli.problems.heat_3d import write_heat
from ups_data.cli.problems.particles import write_particles
from ups_data.cli.problems.pdebench_file import write_simulations


def write_problem(
    problem: str,
    out: Path,
    *,
    cases: int,
    size: int | None,
    steps: int | None,
    seed: int,
    force: bool,
    progress: Callable[[int, int], None],
) -> str:
    """Simulate and write; what was written, in a line.

    Args:
        size, steps: None: by problem.
    """
    if problem == "airfoils":
        write_airfoils(out, cases=cases, seed=seed, force=force, progress=progress)
        return f"{cases} airfoils, cp on the surface and velocity in the volume, in a folder each"
    if problem == "particles":
        size, steps = size or 400, steps or 41
        write_particles(out, cases=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
        return f"{cases} trajectories, {steps} frames of {size} particles that move"
    if problem == "heat-3d":
        size, steps = size or 16, steps or 11
        write_heat(out, cases=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
        return f"{cases} trajectories, {steps} frames of {size}×{size}×{size}, field `data`"
    size, steps = size or 64, steps or 21
    write_simulations(out, trajectories=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
    return f"{cases} trajectories, {steps} frames of {size}×{size}, fields u and v in `data`"
