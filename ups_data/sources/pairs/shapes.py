"""Which axes of arrays over trajectories are the grid, time and channels: told from the shapes of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ups_data.errors import UpsDataError

# A further axis this short is one of channels; a longer one is one more axis of the grid.
CHANNELS = 4
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """Where an array (N, …) has time and channels, as axes behind N; None where it has none."""

    time: int | None = None
    channel: int | None = None


def grid_of(where: Path | str, shapes: Mapping[str, Shape], frames: int | None) -> tuple[Shape, dict[str, Form]]:
    """The grid that all arrays share, and the form of each.

    An array is (N, *grid), (N, *grid, C), (N, C, *grid), (N, T, *grid) or (N, *grid, T). The grid is the largest that
    fits all of them; an axis of up to CHANNELS points at the end is channels rather than space.

    Args:
        shapes: name → shape, at least two axes, the first as long in all.
        frames: the number of times that are given; None: none are.

    Raises:
        UpsDataError: no grid fits all, or time and channels cannot be told apart.
    """
    behind = {name: shape[1:] for name, shape in shapes.items()}
    shortest = min(behind.values(), key=len)
    alike = [shape for shape in behind.values() if len(shape) == len(shortest)]
    candidates = {shortest}
    for cut, of_axis in ((slice(1, None), 0), (slice(-1), -1)):  # without an axis of channels or time
        lengths = {shape[of_axis] for shape in alike}
        same = len({shape[cut] for shape in alike}) == 1
        if same and (len(lengths) > 1 or min(lengths) <= CHANNELS or lengths == {frames}):
            candidates.add(shortest[cut])
    fitting = []
    for grid in sorted(candidates, key=lambda g: (-len(g), g)):
        if 1 <= len(grid) <= 3 and min(grid) > 0:
            forms = {name: _forms(shape, grid, frames) for name, shape in behind.items()}
            if all(forms.values()):
                fitting.append((grid, forms))
    if not fitting:
        raise UpsDataError(f"{where}: {_listed(shapes)}: no grid of one to three axes fits all: save others elsewhere")
    grid, forms = fitting[0]
    for other, others in fitting[1:]:
        at_end = shortest[:-1] == other
        extra = shortest[-1] if at_end else shortest[0]
        if len(other) == len(grid) - 1 and (extra == 1 or (at_end and extra <= CHANNELS)):
            grid, forms = other, others
            break
        if not at_end and extra <= CHANNELS:
            raise UpsDataError(
                f"{where}: {_listed(shapes)}: the axis of {extra} may be channels or space: move channels to the end"
            )
    chosen = {}
    for name, possible in forms.items():
        if len(possible) > 1:
            raise UpsDataError(
                f"{where}: {name} has shape {shapes[name]} on a grid of {grid}: which axis is time or channels cannot "
                "be told, give a grid with axes of other lengths, or the order (trajectories, time, …, channels)"
            )
        chosen[name] = possible[0]
    return grid, chosen


def _forms(shape: Shape, grid: Shape, frames: int | None) -> list[Form]:
    """Every form that an array can have on a grid."""
    if shape == grid:
        return [Form()]
    if len(shape) != len(grid) + 1:
        return []
    last, first = shape[:-1] == grid, shape[1:] == grid
    found = []
    if last:
        in_time = frames is not None and shape[-1] == frames and frames > 1
        found.append(Form(time=len(grid)) if in_time else Form(channel=len(grid)))
    if first and not (last and shape[-1] <= CHANNELS < shape[0]):
        # without times a long axis before the grid is time, as in (N, T, X); a short one is channels
        in_time = shape[0] == frames if frames is not None and frames > 1 else shape[0] > CHANNELS
        found.append(Form(time=0) if in_time else Form(channel=0))
    return found


def _listed(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
