"""noether's store of zarr: a group for each sample, in it an array for each field, its points shuffled once.

Layout, format_version 1: https://github.com/Emmi-AI/noether, src/noether/data/zarr_store/ (manifest.py, writer.py) and
docs/source/noether/efficient_zarr_store.rst. A *domain* there is a set of points here. Every array of a domain has the
same chunks and the same order of points, so that any chunk is a random part of the sample.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.trajectory import ArrayLike, Trajectory

MANIFEST, VERSION = "manifest.json", 1
CHUNK_POINTS, LEVEL, SEED = 4096, 5, 0
POSITION = "position"
ALONE = "points"  # the domain of a dataset with one set of points, which has no name


def check_noether(manifest: Manifest) -> None:
    """Refuse to begin what the layout has no place for.

    Raises:
        UpsDataError: the dataset is a grid, or a field is called there as another or as positions are.
    """
    if manifest.grid is not None:
        raise UpsDataError("noether: holds points, and this dataset is a grid: export it as the_well, netcdf or vtk")
    taken = {(set_name or ALONE, POSITION) for set_name in manifest.set_names}
    for spec in manifest.fields:
        domain = spec.point_set or ALONE
        place = domain, field_name(spec.name, domain)
        if place in taken:
            raise UpsDataError(
                f"noether: the field {spec.name!r} is {'/'.join(place)} there, which is taken: rename it"
            )
        taken.add(place)


class NoetherStore:
    """A store that is being written: samples, then `close`.

    Args:
        name: of the dataset.
    """

    def __init__(self, folder: Path, name: str, manifest: Manifest) -> None:
        folder.mkdir()
        self._folder = folder
        self._domains = {set_name or ALONE: _layout(manifest, set_name) for set_name in manifest.set_names}
        dtypes = {spec.dtype for spec in manifest.fields}
        self._manifest: dict[str, Any] = {
            "dataset_name": name,
            "format_version": VERSION,
            "shuffle_seed": SEED,
            "coords_dtype": "float32",
            "values_dtype": "float16" if dtypes == {"float16"} else "float32",
            "compressor": f"blosc-zstd-{LEVEL}",
            "domains": self._domains,
            "samples": {},
        }

    def add(self, split: str, trajectories: Iterator[Trajectory]) -> None:
        """Every frame as a sample of its own, `SPLIT/000003/000000`; of trajectories of one frame, `SPLIT/000003`."""
        for trajectory in trajectories:
            steps = len(trajectory.time) if trajectory.time is not None else 1
            for step in range(steps):
                sample = f"{split}/{trajectory.key}" + (f"/{step:06d}" if steps > 1 else "")
                parts: dict[str, Any] = dict(trajectory.sets) or {ALONE: trajectory}
                self._manifest["samples"][sample] = self._write(sample, parts, step)

    def close(self) -> None:
        """Write the manifest."""
        (self._folder / MANIFEST).write_text(json.dumps(self._manifest, indent=2))

    def _write(self, sample: str, parts: Mapping[str, Any], step: int) -> dict[str, Any]:
        import zarr
        from zarr.codecs import BloscCodec

        path = f"{sample}.zarr"
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(store=self._folder / path)
        grids = {}
        for domain, part in parts.items():
            arrays = {POSITION: _row(part.coords, step, moving=len(part.coords.shape) == 3).astype(np.float32)}
            for name, values in part.fields.items():
                arrays[field_name(name, domain)] = _row(values, step, moving=True)
            for name, values in part.static.items():
                arrays[field_name(name, domain)] = _row(values, step, moving=False)
            points = len(arrays[POSITION])
            order = _order(sample, domain, points)
            chunk = min(CHUNK_POINTS, points)
            chunks = math.ceil(points / chunk)
            for name, values in arrays.items():
                group.create_array(
                    name=f"{domain}/{name}",
                    shape=values.shape,
                    chunks=(chunk, values.shape[1]),
                    shards=(chunks * chunk, values.shape[1]),
                    dtype=values.dtype,
                    compressors=[BloscCodec(cname="zstd", clevel=LEVEL)],
                )[:] = values[order]
            sizes = (points, chunk, chunks * chunk, chunks)
            grids[domain] = dict(zip(("n_points", "chunk_points", "shard_points", "n_chunks"), sizes, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns that version 3 does not define this yet; noether writes it
            zarr.consolidate_metadata(group.store)
        return {"relpath": path, "domains": grids}


def field_name(name: str, domain: str) -> str:
    """A field's name within a domain: `surface_pressure` of the set `surface` is `pressure` there."""
    return name.removeprefix(f"{domain}_") or name


def _layout(manifest: Manifest, set_name: str | None) -> dict[str, Any]:
    domain = set_name or ALONE
    fields = {field_name(f.name, domain): (f.dtype, f.channels) for f in manifest.fields if f.point_set == set_name}
    fields = {POSITION: ("float32", manifest.point_set(set_name).dim), **fields}
    arrays = {
        f"{domain}_{name}": {
            "array_name": f"{domain}/{name}",
            "field": f"{domain}_{name}",
            "dtype": dtype,
            "dim": channels,
        }
        for name, (dtype, channels) in fields.items()
    }
    return {"position": f"{domain}_{POSITION}", "arrays": arrays}


def _row(values: ArrayLike, step: int, *, moving: bool) -> np.ndarray:
    return np.asarray(values[step] if moving else values[:])


def _order(sample: str, domain: str, points: int) -> np.ndarray:
    """A random order of a sample's points, the same in every run."""
    seed = hashlib.sha256(f"{SEED}:{sample}:{domain}".encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(seed, "little")).permutation(points)
