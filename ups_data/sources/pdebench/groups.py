"""PDEBench's files of one group per trajectory: diffusion–reaction, shallow water, diffusion–sorption."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ups_data.errors import UpsDataError
from ups_data.schema.texts.yaml_text import check_yaml
from ups_data.sources.base import AXIS_NAMES, Source
from ups_data.sources.hdf5.files import lazy_dataset, numeric_attributes, opened, whole_dataset
from ups_data.sources.pdebench.axes import axes_of, times
from ups_data.trajectory import Trajectory

# how a run was made rather than what was simulated: the axes and times say it already, and a model that is
# conditioned on the seed would learn nothing but the run's name
BOOKKEEPING = {
    *("n", "seed", "t", "tdim", "xdim", "ydim", "zdim", "T_end", "n_time_steps"),
    *("x_left", "x_right", "y_bottom", "y_top"),
}

MOST_VALUES = 10_000  # of a configuration
# Parameters of diffusion–reaction in 2-D, whose simulator (sim_diff_react.py) reshapes its solution to (T, Ny, Nx); the
# documentation says [T, X, Y, C]. Shallow water (pyclaw) and the other simulators have x first.
REACTION_2D = {"Du", "Dv"}


class GroupsLayout(Source):
    """Groups `0000` … of `data` [T,X[,Y[,Z]],C], of diffusion–reaction [T,Y,X,C], with `grid/x`, `grid/y`, `grid/t`
    and YAML in the attribute `config`.

    One field, `data`, with the file's own channels. The numbers in the `sim` section of `config` are params, nested
    names joined by dots, without those in BOOKKEEPING. Groups are taken in the order of their numbers, which need
    neither begin at 0000 nor be contiguous; the group's name is the trajectory's key.

    Raises:
        UpsDataError: while iterating, a group lacks `data` or `grid`, or shapes disagree.
    """

    format = "pdebench"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with opened(path) as file:
            self._keys = sorted((key for key in file if _is_number(key)), key=int)
            self._left_out = {key: "is no numbered group" for key in file if not _is_number(key)}

    @staticmethod
    def fits(keys: Sequence[str]) -> bool:
        """Whether a file with these names at its top has this layout."""
        return any(_is_number(key) for key in keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int, /) -> Trajectory:
        with opened(self.path) as file:
            return self._trajectory(file, self._keys[number])

    def _trajectory(self, file: h5py.File, key: str) -> Trajectory:
        group = file[key]
        missing = [name for name in ("data", "grid") if not isinstance(group, h5py.Group) or name not in group]
        if missing:
            raise UpsDataError(f"{self.path}: group {key} has no {' and no '.join(missing)}: remove or complete it")
        data, grid = group["data"], group["grid"]
        axes = axes_of(self.path, {name: whole_dataset(self.path, grid, name) for name in AXIS_NAMES if name in grid})
        params = self._config(group, key)
        turned = axes[::-1]
        if (
            len(axes) == 2
            and set(params) >= REACTION_2D
            and data.shape[1:-1] == tuple(len(axis.coordinates) for axis in turned)
        ):
            axes = turned
        lengths = tuple(len(axis.coordinates) for axis in axes)
        if data.ndim != len(lengths) + 2 or data.shape[1:-1] != lengths:
            raise UpsDataError(
                f"{self.path}: group {key}: data has shape {data.shape}, [T, {', '.join(map(str, lengths))}, C] "
                "is expected from its grid: correct the array or the grid"
            )
        time = None
        if "t" in grid:
            time = times(self.path, f"group {key}: grid/t", whole_dataset(self.path, grid, "t"), len(data))
        return Trajectory(
            key=key,
            source=str(self.path),
            fields={"data": lazy_dataset(self.path, data, (), data.shape)},
            time=time,
            params=numeric_attributes(file.attrs) | numeric_attributes(group.attrs) | params,
            axes=axes,
            left_out=self._left_out | _others(group, "", {"data", "grid"}) | _others(grid, "grid/", {*AXIS_NAMES, "t"}),
        )

    def _config(self, group: h5py.Group, key: str) -> dict[str, float]:
        text = group.attrs.get("config")
        if text is None:
            return {}
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        try:
            check_yaml(text, MOST_VALUES)
            # OmegaConf, which wrote it, reads 1e-3 as a number, which plain YAML 1.1 does not
            config = OmegaConf.to_container(OmegaConf.create(text))
        except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UpsDataError(
                f"{self.path}: group {key}: the attribute config is not YAML: correct or delete it ({reason})"
            ) from error
        sim = config.get("sim") if isinstance(config, dict) else None
        return dict(_numbers(sim)) if isinstance(sim, dict) else {}


def _others(group: object, prefix: str, known: set[str]) -> dict[str, str]:
    if not isinstance(group, h5py.Group):
        return {}
    return {f"{prefix}{name}": "is no part of PDEBench's layout" for name in group if name not in known}


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit()


def _numbers(section: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif name not in BOOKKEEPING and isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
