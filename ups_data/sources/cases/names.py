"""What the names of a case's files say: which frame, which quantity, of which set of points."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.positions import COORDINATES

COMPONENTS = ("x", "y", "z")
# what codes save beside the points: meshes' connections, images of the domain
LEFT_OUT = re.compile(
    r"(?:.*_)?(?:triangles|faces|cells|elements|edges|edge_index.*|connectivity|object_mask|sdf_res[0-9]+)"
)
_NUMBERED = re.compile(r"([0-9]+)_(.+)")


@dataclass(frozen=True)
class Quantity:
    """One quantity of a case: a file, or where `numbers` are given a file for each frame, in order."""

    name: str
    files: tuple[Path, ...]
    numbers: tuple[int, ...] | None = None

    @property
    def numbered(self) -> bool:
        """Whether there is a file for each frame."""
        return self.numbers is not None


@dataclass(frozen=True)
class SetName:
    """The parts of the name around the word for coordinates: `surface`, `vtp` of `surface_position_vtp`."""

    prefix: str
    suffix: str = ""


def quantities(folder: Path, files: Iterable[Path]) -> dict[str, Quantity]:
    """name → quantity; `00000003_mesh.th` is the frame 3 of `mesh`.

    Raises:
        UpsDataError: two files for one quantity, frames missing, or not as many of each numbered quantity.
    """
    whole: dict[str, Path] = {}
    frames: dict[str, list[tuple[int, Path]]] = {}
    for file in files:
        match = _NUMBERED.fullmatch(file.stem)
        if match:
            frames.setdefault(match[2], []).append((int(match[1]), file))
        elif file.stem in whole:
            raise UpsDataError(f"{folder}: holds {whole[file.stem].name} and {file.name}: keep one of them")
        else:
            whole[file.stem] = file
    for name in whole.keys() & frames.keys():
        raise UpsDataError(f"{folder}: holds {whole[name].name} and {frames[name][0][1].name}: keep either")
    found = {name: Quantity(name, (file,)) for name, file in whole.items()}
    for name, numbered in frames.items():
        numbered.sort()
        found[name] = Quantity(name, tuple(f for _, f in numbered), tuple(n for n, _ in numbered))
    _check_numbers(folder, [quantity for quantity in found.values() if quantity.numbered])
    return found


def _check_numbers(folder: Path, numbered: Sequence[Quantity]) -> None:
    for quantity in numbered:
        numbers = quantity.numbers or ()
        steps = [b - a for a, b in pairwise(numbers)]
        if len(set(steps)) > 1 or 0 in steps:
            at = next(i for i, step in enumerate(steps) if step == 0 or step != min(steps))
            raise UpsDataError(
                f"{folder}: the frames of {quantity.name} are not evenly numbered, {quantity.files[at + 1].name} "
                f"follows {quantity.files[at].name}: add the missing ones or remove the others"
            )
        if numbers != numbered[0].numbers:
            raise UpsDataError(
                f"{folder}: {quantity.name} has {len(numbers)} frames from {quantity.files[0].name} on, "
                f"{numbered[0].name} has {len(numbered[0].numbers or ())} from {numbered[0].files[0].name} on: "
                "give every frame all quantities"
            )


def coordinates_in(name: str) -> SetName | None:
    """The set whose coordinates the name says it is (`surface_position`, `mesh_points`), None where it says nothing."""
    words = name.split("_")
    for place in range(len(words) - 1, -1, -1):
        if words[place] in COORDINATES:
            return SetName("_".join(words[:place]), "_".join(words[place + 1 :]))
    return None


def names_coordinates(name: str) -> bool:
    """Whether a file of this stem, with or without the number of a frame, looks like coordinates."""
    match = _NUMBERED.fullmatch(name)
    name = match[2] if match else name
    return name == "x" or coordinates_in(name) is not None


def set_labels(sets: Sequence[SetName]) -> dict[SetName, str]:
    """What to call the sets: their prefix, with the suffix where several share the prefix."""
    prefixes = [s.prefix for s in sets]
    return {
        s: "_".join(filter(None, (s.prefix, s.suffix if prefixes.count(s.prefix) > 1 else ""))) or "points"
        for s in sets
    }


def candidates(name: str, sets: Iterable[SetName]) -> list[SetName]:
    """The sets that a quantity's name may mean, those that share most with it.

    `surface_pressure` means the set `surface`; `pressure` the set without a name, or the only one that there is.
    Among sets `surface` of several suffixes, `surface_normal_vtp` means the one of `vtp`; `surface_pressure` any.
    """
    sets = list(sets)
    near = _longest({s: len(s.prefix) for s in sets if not s.prefix or f"{name}_".startswith(f"{s.prefix}_")})
    if not near:
        return sets if len(sets) == 1 else []
    return _longest({s: len(s.suffix) for s in near if s.suffix and name.endswith(f"_{s.suffix}")}) or near


def _longest(lengths: Mapping[SetName, int]) -> list[SetName]:
    return [s for s, length in lengths.items() if length == max(lengths.values())]
