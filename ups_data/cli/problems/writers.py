"""Each problem by its name."""

import shutil
from collections.abc import Callable
from pathlib import Path

from ups_data.cli.problems.airfoil_files import write_airfoils
from ups_data.cli.problems.heat_3d import write_heat
from ups_data.cli.problems.particles import write_particles
from ups_data.cli.problems.pdebench_file import write_simulations
from ups_data.cli.problems.shocks import FINER, write_shocks
from ups_data.errors import UpsDataError

RUN_BYTES = 2**28  # of the frames of one run, which are in memory at once


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

    Raises:
        UpsDataError: a run is too large for memory, all of them for the disk; or `out` cannot be written.
    """
    if problem == "airfoils":
        write_airfoils(out, cases=cases, seed=seed, force=force, progress=progress)
        return f"{cases} airfoils, cp on the surface and velocity in the volume, in a folder each"
    if problem == "particles":
        size, steps = size or 400, steps or 41
        _check_bytes(out, cases, f"{steps} frames of {size} particles", steps * size * 2 * 2)
        write_particles(out, cases=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
        return f"{cases} trajectories, {steps} frames of {size} particles that move"
    if problem == "heat-3d":
        size, steps = size or 16, steps or 11
        _check_bytes(out, cases, f"{steps} frames of {size}×{size}×{size}", steps * size**3)
        write_heat(out, cases=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
        return f"{cases} trajectories, {steps} frames of {size}×{size}×{size}, field `data`"
    size, steps = size or 64, steps or 21
    if problem == "shocks":
        _check_bytes(out, cases, f"{steps} frames of {size}×{size}", steps * size**2 * 2 * FINER**2)
        write_shocks(out, cases=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
        return f"{cases} trajectories, {steps} frames of {size}×{size}, field `data`"
    _check_bytes(out, cases, f"{steps} frames of {size}×{size}", steps * size**2 * 2)
    write_simulations(out, trajectories=cases, size=size, steps=steps, seed=seed, force=force, progress=progress)
    return f"{cases} trajectories, {steps} frames of {size}×{size}, fields u and v in `data`"


def _check_bytes(out: Path, cases: int, frames: str, values: int) -> None:
    """Refuse before the first run what would fill memory or disk; `values` are those of a run, float32."""
    run = 4 * values
    if run > RUN_BYTES:
        raise UpsDataError(
            f"{frames} are {run / 1e6:,.0f} MB, and a run may have {RUN_BYTES / 1e6:,.0f}: "
            "give a smaller --size or fewer --steps"
        )
    folder = out.absolute().parent
    if folder.is_dir() and cases * run > (free := shutil.disk_usage(folder).free):
        raise UpsDataError(
            f"{out}: {cases} runs of {frames} take {cases * run / 1e6:,.0f} MB, and {free / 1e6:,.0f} are free: "
            "give fewer --cases, or another place"
        )
