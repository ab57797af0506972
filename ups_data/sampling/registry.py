"""The modes that are known: those of this package, registered ones, and those of installed packages."""

import importlib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from ups_data.errors import UpsDataError
from ups_data.sampling.mode import Mode
from ups_data.sampling.modes.blocks import BLOCKS
from ups_data.sampling.modes.full import FULL
from ups_data.sampling.modes.importance import IMPORTANCE
from ups_data.sampling.modes.lattice import LATTICE
from ups_data.sampling.modes.stratified import STRATIFIED
from ups_data.sampling.modes.uniform import UNIFORM

# Installed packages name their modes here; they are looked at only if a name is not known.
GROUP = "ups_data.modes"

BUILT_IN = {mode.name: mode for mode in (FULL, UNIFORM, STRATIFIED, LATTICE, BLOCKS, IMPORTANCE)}
_known: dict[str, Mode] = dict(BUILT_IN)


def register_mode(mode: Mode) -> Mode:
    """Make a mode known, so that `QuerySampling(mode=mode.name)` draws with it.

        register_mode(Mode("rows", draw_rows, needs_grid=True))

    Call it where the module is imported, not inside a function: worker processes import the module (`Mode.module`), and
    know the mode thereby. A package can name its modes as entry points instead, in the group `ups_data.modes`.

    Returns:
        the mode.

    Raises:
        UpsDataError: another module has registered one of its names, or this package has.
    """
    for name in (mode.name, *mode.aliases):
        other = _named(name)
        if other is not None and (other.name in BUILT_IN or other.name != mode.name or other.module != mode.module):
            raise UpsDataError(f"mode {name!r} is that of {other.module} already: give {mode.module}'s another name")
    _known[mode.name] = mode
    return mode


def find_mode(name: str) -> Mode | None:
    """The mode of that name or alias; None: there is none.

    Raises:
        UpsDataError: an installed package's entry point cannot be loaded.
    """
    found = _named(name)
    if found is None and (installed := _installed().get(name)) is not None:
        _load(installed)
        found = _named(name)
    return found


def mode_named(name: str) -> Mode:
    """The mode of that name.

    Raises:
        UpsDataError: there is none, or an installed package's cannot be loaded.
    """
    found = find_mode(name)
    if found is None:
        raise UpsDataError(
            f"mode {name!r} is not known in this process: call register_mode where the module that defines it is "
            f"imported. Known are {', '.join(mode_names())}"
        )
    return found


def mode_names() -> list[str]:
    """Names of all modes, of installed packages too."""
    return list(dict.fromkeys([*_known, *_installed()]))


def mode_aliases() -> list[str]:
    """Other names of them."""
    return [alias for mode in _known.values() for alias in mode.aliases]


def mixable_modes() -> list[str]:
    """Names of the modes that mix, in the order in which they are drawn: those first that prefer some points."""
    return [m.name for m in sorted(_known.values(), key=lambda m: (m.preferred_places is None, m.name)) if m.mixes]


def modules_of(names: Iterable[str]) -> list[str]:
    """The modules whose import registers those modes; none for the modes of this package."""
    return sorted({mode_named(name).module for name in names if name not in BUILT_IN})


def import_modules(names: Iterable[str]) -> None:
    """Import modules that register modes, in a worker process.

    Raises:
        UpsDataError: one cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UpsDataError(
                f"module {name!r}, which registers a sampling mode, cannot be imported here: {error}. Install it, or "
                "put its folder into PYTHONPATH, so that worker processes find it"
            ) from error


def _named(name: str) -> Mode | None:
    if name in _known:
        return _known[name]
    return next((mode for mode in _known.values() if name in mode.aliases), None)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> None:
    try:
        loaded = point.load()
    except Exception as error:
        package = point.dist.name if point.dist is not None else "an installed package"
        raise UpsDataError(f"mode {point.name!r} of {package} ({point.value}) cannot be loaded: {error!r}") from error
    if isinstance(loaded, Mode):
        register_mode(loaded)
