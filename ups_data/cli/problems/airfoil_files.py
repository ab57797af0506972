"""Airfoils as a folder for each case: `run_3/surface_3.vtp` and `run_3/volume_3.vtu`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ups_data.cli.problems.airfoils import Airfoil, Flow, random_flow
from ups_data.cli.problems.out_folder import filled_whole
from ups_data.cli.problems.vtk_files import VtkMesh, write_vtk


def write_airfoils(
    out: Path,
    *,
    cases: int,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write as many airfoils, each other in shape, angle of attack and number of points.

    - `surface_i.vtp`: a closed contour with `cp`, the outward `normal` and each point's share of the contour, `length`.
    - `volume_i.vtu`: quadrilaterals around it, row 0 on the surface, with `velocity` and each point's share of the
      domain, `area`.

    Both have `angle_of_attack` in degrees in their field data, which readers make a parameter of the run. Lengths are
    in chords, velocities in units of the oncoming flow's.

    Args:
        out: the folder; run i depends on `seed` and i only.
        force: replace `out` if it exists.
        progress: called with (cases done, cases in all).

    Raises:
        UpsDataError: `out` exists, or the folder that it lies in does not.
    """
    with filled_whole(out, r"run_\d+", force=force) as folder:
        for number in range(cases):
            run = folder / f"run_{number}"
            run.mkdir()
            airfoil, flow = random_flow(seed, number)
            write_vtk(run / f"surface_{number}.vtp", surface_mesh(airfoil, flow))
            write_vtk(run / f"volume_{number}.vtu", volume_mesh(airfoil, flow))
            progress(number + 1, cases)


def surface_mesh(airfoil: Airfoil, flow: Flow) -> VtkMesh:
    """The contour, closed by lines."""
    numbers = np.arange(len(flow.normal))
    return VtkMesh(
        _pairs(flow.points[0]),
        np.stack([numbers, np.roll(numbers, -1)], axis=1),
        {"cp": flow.cp, "normal": _pairs(flow.normal), "length": flow.length},
        {"angle_of_attack": float(np.degrees(airfoil.angle))},
    )


def volume_mesh(airfoil: Airfoil, flow: Flow) -> VtkMesh:
    """The quadrilaterals between each ring and the next."""
    numbers = np.arange(flow.points.size).reshape(flow.points.shape)
    right = np.roll(numbers, -1, axis=1)
    corners = np.stack([numbers[:-1], numbers[1:], right[1:], right[:-1]], axis=-1)
    return VtkMesh(
        _pairs(flow.points.reshape(-1)),
        corners.reshape(-1, 4),
        {"velocity": _pairs(flow.velocity.reshape(-1)), "area": flow.area.reshape(-1)},
        {"angle_of_attack": float(np.degrees(airfoil.angle))},
    )


def _pairs(values: np.ndarray) -> np.ndarray:
    """Complex numbers `(N,)` as `(N, 2)`."""
    return np.stack([values.real, values.imag], axis=-1)
