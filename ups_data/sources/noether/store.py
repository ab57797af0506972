"""noether's store of zarr (https://github.com/Emmi-AI/noether, src/noether/data/zarr_store): samples of points."""

import importlib
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ups_data.atomic import open_regular
from ups_data.errors import UpsDataError
from ups_data.schema import limits
from ups_data.schema.texts.json_text import parse_json
from ups_data.sources.base import SPLITS, Source
from ups_data.sources.content import Content, look_inside
from ups_data.sources.lazy import LazyArray
from ups_data.sources.limits import check_claim, claimed_bytes
from ups_data.sources.netcdf.opening import check_chunks, refuse_pickles
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.positions import finite
from ups_data.trajectory import PointSet, Trajectory

MANIFEST, VERSION = "manifest.json", 1


class NoetherSource(Source):
    """A store with a group of zarr for each sample, which is a trajectory of one frame; its key is the sample's id.

    Domains (`surface`, `volume`) are sets of points, in the order in which the store has them: it was shuffled when it
    was written. Fields are called as in its manifest, `surface_pressure`; those of the only domain without its name.
    Samples whose ids begin with `train/`, `val/` or `test/` are of that split.

    Raises:
        UpsDataError: the manifest is damaged or of another version, or an array has another shape than it says.
    """

    format = "noether"

    def __init__(self, path: str | Path, options: SourceOptions = DEFAULTS) -> None:
        super().__init__(path, options)
        content = look_inside(self.path, options)
        if not self.recognises(content):
            raise UpsDataError(f"{path}: {content}, a store of noether with its {MANIFEST} is expected")
        try:
            with open_regular(self.path / MANIFEST) as file:
                manifest = parse_json(file.read(limits.JSON_BYTES))
            if manifest["format_version"] != VERSION:
                raise ValueError(f"format_version {manifest['format_version']}")
            self._domains = {str(d): _Domain(str(d), held) for d, held in manifest["domains"].items()}
            self._samples = [(str(i), str(s["relpath"]), dict(s["domains"])) for i, s in manifest["samples"].items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UpsDataError(
                f"{self.path / MANIFEST}: is no manifest of a noether store of version {VERSION}, or damaged: copy the "
                f"store again ({type(error).__name__}: {error})"
            ) from None
        places = [place for _, place, _ in self._samples]
        places += [name for domain in self._domains.values() for name in (domain.name, *domain.arrays.values())]
        for place in places:
            if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
                raise UpsDataError(f"{self.path / MANIFEST}: {place} leaves the store: copy the store again")

    @staticmethod
    def recognises(content: Content) -> bool:
        """See `Source.recognises`."""
        if content.kind != "folder" or MANIFEST not in content.keys:
            return False
        try:
            with open_regular(content.path / MANIFEST) as file:
                head = file.read(4096)
        except OSError:
            return False
        return b'"shuffle_seed"' in head and b'"coords_dtype"' in head

    def __len__(self) -> int:
        return len(self._samples)

    def splits(self) -> list[str | None]:
        """See `Source.splits`: the first part of a sample's id."""
        return [SPLITS.get(sample.split("/")[0]) for sample, _, _ in self._samples]

    def __getitem__(self, number: int, /) -> Trajectory:
        sample, place, counts = self._samples[number]
        group = self.path / place
        if not group.is_dir():
            raise UpsDataError(f"{group}: the sample is missing: copy the store again")
        refuse_pickles(group)
        there = sum(file.stat().st_size for file in group.rglob("*") if file.is_file())
        sets = {}
        for name, domain in self._domains.items():
            if name in counts and (group / name).is_dir():
                refuse_pickles(group / name)
                sets[name] = self._set(group, domain, counts[name], there)
        if not sets:
            raise UpsDataError(f"{group}: has none of the domains {', '.join(self._domains)}: copy the store again")
        whole = next(iter(sets.values())) if len(self._domains) == 1 else None
        return Trajectory(
            key=sample,
            source=str(group),
            fields=whole.fields if whole else {},
            coords=whole.coords if whole else None,
            sets={} if whole else sets,
            split=self.splits()[number],
        )

    def _set(self, group: Path, domain: "_Domain", count: Any, there: int) -> PointSet:
        opened = _open(group)
        fields: dict[str, LazyArray] = {}
        for field, array in domain.arrays.items():
            try:
                held = opened[array]
                shape = tuple(held.shape)
            except (KeyError, AttributeError, ValueError):
                raise UpsDataError(f"{group}: {array} is missing: copy the store again") from None
            check_claim(group, array, claimed_bytes(shape, held.dtype), there, self.options.expansion)
            if len(shape) != 2 or shape[0] != count.get("n_points"):
                raise UpsDataError(f"{group}: {array} has shape {shape}, its manifest says {count}: copy it again")
            name = field.removeprefix(f"{domain.name}_") if len(self._domains) == 1 else field
            fields[name] = LazyArray((1, *shape), held.dtype, partial(_read, group, array))
        check_chunks(group, "zarr", list(domain.arrays.values()))
        positions = domain.position.removeprefix(f"{domain.name}_") if len(self._domains) == 1 else domain.position
        return PointSet(finite(f"{group}: {positions}", fields.pop(positions)[0]), fields)


class _Domain:
    """What the manifest says of a domain: `arrays`, field → path within a sample's group."""

    def __init__(self, name: str, held: dict[str, Any]) -> None:
        self.name, self.position = name, str(held["position"])
        self.arrays = {str(field): str(array["array_name"]) for field, array in held["arrays"].items()}
        if self.position not in self.arrays:
            raise ValueError(f"the domain {name!r} has no positions")


def _looking() -> AbstractContextManager[None]:
    return importlib.import_module("ups_data.sources.netcdf.blosc").chunks_looked_at()


def _open(path: Path) -> Any:
    zarr = importlib.import_module("zarr")
    try:
        return zarr.open_group(path, mode="r", use_consolidated=False)
    except Exception as error:  # whatever the damage leads to
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(f"{path}: cannot be read as zarr, it is damaged: copy it again ({reason})") from error


def _read(path: Path, name: str, start: int, stop: int) -> np.ndarray:
    with _looking():
        return np.asarray(_open(path)[name][...])
