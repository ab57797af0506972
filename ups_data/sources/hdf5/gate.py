"""What of an HDF5 file lies elsewhere: found by walking its links without following one.

External links, external storage and virtual datasets make a file that reads any other file of the machine. None is
followed unless the user says so; virtual datasets may consist of files in the folder of theirs.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import h5py

from ups_data.errors import UpsDataError
from ups_data.sources.hdf5.files import opened
from ups_data.sources.limits import check_claim, claimed_bytes
from ups_data.sources.links import check_file, is_inside
from ups_data.sources.options import SourceOptions

# Virtual datasets over virtual datasets over …
DEPTH = 8


def check_links(path: Path, options: SourceOptions, depth: int = 0) -> None:
    """Look at every link and every dataset of a file, once for each version of it.

    Raises:
        UpsDataError: something lies outside of the file, where that is not allowed; a part of a virtual dataset is not
            there, allowed or not; or a dataset claims more than the files' bytes can hold.
    """
    status = os.stat(path)
    _check(os.path.realpath(path), str(path), status.st_size, status.st_mtime_ns, options, depth)


@lru_cache(maxsize=4096)
def _check(real: str, path: str, size: int, mtime_ns: int, options: SourceOptions, depth: int) -> None:
    with opened(Path(path)) as file:
        for name, kind in _links(file):
            where = f"{path}: {name!r}"
            if kind == h5py.h5l.TYPE_HARD:
                item = file.get(name)
                if isinstance(item, h5py.Dataset):
                    _check_dataset(where, Path(path), item, options, depth)
            elif kind == h5py.h5l.TYPE_SOFT:
                if file.get(name) is None:
                    raise UpsDataError(f"{where} is a link to nothing in the file: remove it")
            elif not options.allow_links:
                raise UpsDataError(f"{where} is a link out of the file: copy the data into it, {YOURS}")


YOURS = "or give --allow-links if the file is yours"


def _links(file: h5py.File) -> Iterator[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    # a name's bytes need not be text
    file.id.links.visit(lambda name, info: found.append((os.fsdecode(name), info.type)), info=True)
    return iter(found)


def _check_dataset(where: str, path: Path, dataset: h5py.Dataset, options: SourceOptions, depth: int) -> None:
    plist = dataset.id.get_create_plist()
    there = path.stat().st_size
    if plist.get_external_count():
        if not options.allow_links:
            raise UpsDataError(f"{where} is stored in another file: copy the data into this one, {YOURS}")
        there += sum(plist.get_external(number)[2] for number in range(plist.get_external_count()))
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        if depth >= DEPTH:
            raise UpsDataError(f"{where} is a virtual dataset over {DEPTH} others: copy the data into one file")
        there += _check_virtual(where, path, dataset, options, depth)
    if dataset.shape is not None:
        claimed = claimed_bytes(dataset.shape, dataset.dtype)
        check_claim(path, dataset.name or "a dataset", claimed, there, options.expansion)


def _check_virtual(where: str, path: Path, dataset: h5py.Dataset, options: SourceOptions, depth: int) -> int:
    """Returns the bytes of the files that it consists of."""
    plist = dataset.id.get_create_plist()
    covered = 0
    sources = {path}
    for part in range(plist.get_virtual_count()):
        source = _part(where, path, plist.get_virtual_filename(part), options.allow_links)
        covered += plist.get_virtual_vspace(part).get_select_npoints()
        if source not in sources:
            check_file(source)
            check_links(source, options, depth + 1)
            sources.add(source)
        _check_part(f"{where} is a virtual dataset whose part", source, plist, part)
    if covered < dataset.size:
        raise UpsDataError(
            f"{where} is a virtual dataset of {dataset.size:,} values, its parts have {covered:,}: the others are "
            "missing, add them"
        )
    return sum(source.stat().st_size for source in sources - {path})


def _part(where: str, path: Path, name: str, allow_links: bool) -> Path:
    """The file of a part."""
    if name == ".":
        return path
    if "%" in name:
        raise UpsDataError(f"{where} is a virtual dataset of numbered parts ({name}): copy the data into one file")
    source = path.parent / name
    if not source.exists():
        raise UpsDataError(f"{where} is a virtual dataset whose part {name} is missing: add it beside {path.name}")
    if not allow_links and not is_inside(os.path.realpath(source), os.path.realpath(path.parent)):
        raise UpsDataError(f"{where} is a virtual dataset over {source}, outside of its folder: copy it there, {YOURS}")
    return source


def _check_part(what: str, file: Path, plist: h5py.h5p.PropDCID, part: int) -> None:
    """The dataset of a part is there and as large as the part says."""
    name = plist.get_virtual_dsetname(part)
    with opened(file) as held:
        dataset = held.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise UpsDataError(f"{what} {name} of {file} is missing: add it")
        selected = plist.get_virtual_srcspace(part)
        if selected.get_select_type() == h5py.h5s.SEL_ALL:
            return
        _, last = selected.get_select_bounds()
        if len(last) != dataset.ndim or any(stop >= n for stop, n in zip(last, dataset.shape, strict=True)):
            raise UpsDataError(f"{what} {name} of {file} has shape {dataset.shape}, more is missing: complete it")
