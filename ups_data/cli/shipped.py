"""Configurations that come with the package, found by their names."""

from pathlib import Path

from ups_data.errors import UpsDataError

# A wheel holds a copy of the checkout's `configs/` (see setup.py).
INSTALLED = Path(__file__).parent / "configs"
CHECKOUT = Path(__file__).parents[2] / "configs"


def shipped_configs() -> dict[str, Path]:
    """Name → file, as `quickstart`."""
    folder = INSTALLED if INSTALLED.is_dir() else CHECKOUT
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(config: str) -> Path:
    """The YAML file at this path, or the shipped configuration of this name.

    Raises:
        UpsDataError: there is neither.
    """
    shipped = shipped_configs()
    if config in shipped and not Path(config).is_file():
        return shipped[config]
    if not Path(config).exists():
        raise UpsDataError(f"{config}: no such file; configurations that ship with ups_data: {', '.join(shipped)}")
    return Path(config)
