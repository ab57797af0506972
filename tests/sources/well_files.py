"""Files in the layout of The Well, with fields, scalars and flags of every kind."""

from pathlib import Path

import h5py
import numpy as np

from tests.sources.files import values

GRID, FRAMES = (6, 5), 4
# name → group, flags (sample, time), the axes of space that it has
FIELDS = {
    "density": ("t0_fields", (True, True), (True, True)),
    "profile": ("t0_fields", (True, True), (False, True)),
    "mask": ("t0_fields", (False, False), (True, True)),
    "gravity": ("t0_fields", (True, False), (True, False)),
    "forcing": ("t0_fields", (False, True), (True, True)),
    "velocity": ("t1_fields", (True, True), (True, True)),
    "lid": ("t1_fields", (False, False), (False, True)),
    "stress": ("t2_fields", (True, True), (True, True)),
}
SCALARS = {"Re": (True, False), "gamma": (False, False), "heat": (True, True), "clock": (False, True)}


def write_well(
    path: Path, *, count: int = 2, seed: int = 0, bc_x: str = "PERIODIC", keep_axes: bool = False
) -> dict[str, np.ndarray]:
    """name → the array as written, of `count` trajectories; `keep_axes`: those that do not vary have length 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, np.ndarray] = {}
    with h5py.File(path, "w") as file:
        file.attrs.update(
            dataset_name="made", grid_type="cartesian", n_spatial_dims=2, n_trajectories=count, viscosity=0.25
        )
        file.attrs["simulation_parameters"] = ["Re", "viscosity"]
        file.attrs["Re"] = 1.0
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, coordinates in {"x": np.linspace(0, 2, GRID[0]), "y": np.arange(GRID[1])}.items():
            dimensions[name] = coordinates.astype(np.float32)
            dimensions[name].attrs.update(sample_varying=False, time_varying=False)
        dimensions["time"] = np.linspace(0, 3, FRAMES, dtype=np.float32)
        dimensions["time"].attrs["sample_varying"] = False
        for name, dims, kind in (("x_boundary", "x", bc_x), ("y_wall", "y", "wall")):
            condition = file.create_group(f"boundary_conditions/{name}")
            condition.attrs.update(bc_type=kind, sample_varying=False, time_varying=False)
            condition.attrs["associated_dims"] = [dims] if name == "x_boundary" else dims
            condition.attrs["associated_fields"] = np.array([], "S1")
            mask = np.zeros(GRID["xy".index(dims)], bool)
            mask[[0, -1]] = True
            condition["mask"] = mask
        file.create_group("scalars").attrs["field_names"] = list(SCALARS)
        for number, (name, flags) in enumerate(SCALARS.items()):
            written[name] = _write(file, f"scalars/{name}", flags, count, (), (), seed + number)
        for order in range(3):
            group = f"t{order}_fields"
            names = [name for name, (held, _, _) in FIELDS.items() if held == group]
            file.create_group(group).attrs["field_names"] = names
            for name in names:
                _, flags, dims = FIELDS[name]
                space = tuple(n for n, has in zip(GRID, dims, strict=True) if has)
                lead = seed + 10 * order + names.index(name) + 100
                written[name] = _write(file, f"{group}/{name}", flags, count, space, (2,) * order, lead)
                if keep_axes:
                    del file[group][name]
                    before = (*((count,) if flags[0] else ()), *((FRAMES,) if flags[1] else ()))
                    kept = tuple(n if has else 1 for n, has in zip(GRID, dims, strict=True))
                    file[group][name] = written[name].reshape(*before, *kept, *(2,) * order)
                    file[group][name].attrs.update(sample_varying=flags[0], time_varying=flags[1])
                file[group][name].attrs["dim_varying"] = list(dims)
    return written


def _write(file, name, flags, count, space, components, seed):
    shape = (*((count,) if flags[0] else ()), *((FRAMES,) if flags[1] else ()), *space, *components)
    array = values(*shape, seed=seed)
    file[name] = array
    file[name].attrs.update(sample_varying=flags[0], time_varying=flags[1])
    return array


def expected(written: dict[str, np.ndarray], name: str, number: int) -> np.ndarray:
    """A field of one trajectory, (T, *grid, C) or (*grid, C), by numpy alone."""
    _, (by_sample, in_time), dims = FIELDS[name]
    array = written[name][number] if by_sample else written[name]
    shape = [FRAMES] if in_time else []
    shape += [n if has else 1 for n, has in zip(GRID, dims, strict=True)]
    full = (*((FRAMES,) if in_time else ()), *GRID, -1)
    array = array.reshape(*shape, -1)
    return np.broadcast_to(array, (*full[:-1], array.shape[-1]))
