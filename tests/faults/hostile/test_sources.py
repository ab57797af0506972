"""Sources of every format, each spoilt in every way: their data, or one line with status 2."""

from pathlib import Path

import pytest

from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.sources import FILES, FOLDERS, Write
from tests.faults.hostile.tryer import Tryer
from tests.faults.hostile.ways import WAYS
from ups_data.sources import FORMATS, open_source

OPTIONS = ("--cast", "float32")
# Formats of text, without a mark of their end: all that is asked of a cut one is that it is taken or refused.
ANY_END = {"obj", "ply, ascii", "vtk", "openfoam", "ensight"}
UNSEEN = ("system/controlDict",)  # of what it says, no value depends
CUT = ("a third of it", "all but a tenth", "all but a byte", "twice")
SPARSE = 22  # of so many cases, one is in the default run
# Of folders, the files that are spoilt: what says what the others are, and one with values.
PARTS = {
    "zarr": ("zarr.json", "u/zarr.json", "u/c/0/0/0/0"),
    "zarr2": (".zgroup", "u/.zarray", "u/0.0.0.0"),
    "cases": ("c1/surface_position.pt", "c1/surface_pressure.pt"),
    "splits": ("train/u.npy", "test/u.npy"),
    "series": ("s.pvd", "s1.vtu"),
    "blocks": ("s.vtm", "b1.vtu"),
    "openfoam": ("system/controlDict", "0/p", "0.5/U", "constant/polyMesh/points", "constant/polyMesh/boundary"),
    "ensight": ("a.case", "a.geo", "a.T0001"),
    "domino": (".zgroup", "volume_fields/.zarray", "volume_fields/0.0"),
    "noether": ("manifest.json", "train/000001.zarr/points/p/zarr.json", "train/000001.zarr/points/p/c/0/0"),
}
IN_FOLDERS = [(name, part) for name, parts in PARTS.items() for part in parts]
ENTRY = {"series": "s.pvd", "blocks": "s.vtm", "ensight": "a.case"}  # what is converted, if it is not the folder


def test_no_format_is_left_out(tmp_path: Path) -> None:
    known = set()
    for name, write in {**FILES, **FOLDERS}.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name / "source")
        known.add(open_source(tmp_path / name / "source" / ENTRY.get(name, "")).format)
    assert known == set(FORMATS)


def chosen(values: list[tuple[str, ...]], step: int) -> list[object]:
    """Every so many of them in the default run, the others with the mark `faults`."""
    marks = {False: [], True: [pytest.mark.faults]}
    return [pytest.param(*v, marks=marks[n % step != 0], id=": ".join(v)) for n, v in enumerate(values)]


@pytest.fixture(scope="session")
def intact() -> dict[str, str]:
    """Format → the digest of what it becomes, filled as it is asked for."""
    return {}


def digest_of(name: str, write: Write, tryer: Tryer, folder: Path, known: dict[str, str]) -> str:
    if name not in known:
        place = folder / f"intact-{name}"
        place.mkdir()
        write(place / "source")
        answer = tryer("convert", place / "source" / ENTRY.get(name, ""), place / "out", *OPTIONS)
        assert answer["status"] == 0, answer
        known[name] = answer["digest"]
    return known[name]


def check(
    tryer: Tryer, around: Around, way: str, digest: str | None, *, any_end: bool = False, entry: str = ""
) -> None:
    around.watch()
    answer = tryer("convert", around.given / "source" / entry, around.out, *OPTIONS, nobody=WAYS[way].nobody)
    found = wrong(answer, digest)
    allowed = {"other data came out"} if any_end else set()
    assert not [line for line in (*found, *around.changes()) if line not in allowed]
    assert answer["status"] == 0 or not around.out.exists()


@pytest.mark.parametrize(("name", "way"), chosen([(n, w) for n in FILES for w in WAYS], SPARSE))
def test_a_file(tryer: Tryer, around: Around, open_folder: Path, intact: dict[str, str], name: str, way: str) -> None:
    digest = digest_of(name, FILES[name], tryer, open_folder, intact)
    FILES[name](around.given / "source")
    WAYS[way].do(around.given / "source")
    any_end = name in ANY_END and way in CUT
    check(tryer, around, way, digest if any_end or not WAYS[way].refused else None, any_end=any_end)


@pytest.mark.parametrize(
    ("name", "part", "way"),
    chosen([(n, part, w) for n, parts in PARTS.items() for part in parts for w in WAYS], SPARSE),
)
def test_a_file_of_a_folder(
    tryer: Tryer, around: Around, open_folder: Path, intact: dict[str, str], name: str, part: str, way: str
) -> None:
    """A chunk that zarr finds missing is of the fill value by its specification, and a split may be missing."""
    digest = digest_of(name, FOLDERS[name], tryer, open_folder, intact)
    FOLDERS[name](around.given / "source")
    WAYS[way].do(around.given / "source" / part)
    split = name == "splits" and way == "missing" and part == "test/u.npy"
    lacks = way in ("missing", "a folder") and part in ("0/p", "0.5/U")  # fields that only some times have are left out
    any_end = split or lacks or (name in ANY_END and way in CUT)
    wanted = None if WAYS[way].refused and not any_end and part not in UNSEEN else digest
    check(tryer, around, way, wanted, any_end=any_end, entry=ENTRY.get(name, ""))


@pytest.mark.parametrize(("name", "part"), chosen([(n, p) for n, p in IN_FOLDERS if p != ENTRY.get(n)], 3))
@pytest.mark.parametrize("of", ["a file", pytest.param("its folder", marks=pytest.mark.faults)])
def test_a_link_out_of_a_folder(tryer: Tryer, around: Around, name: str, part: str, of: str) -> None:
    """To data that would fit, or to a folder of them. What somebody names to be converted may be a link."""
    FOLDERS[name](around.given / "source")
    path = around.given / "source" / part
    path = path if of == "a file" or path.parent == around.given / "source" else path.parent
    path.rename(around.others / "moved")
    path.symlink_to(around.others / "moved")
    check(tryer, around, "empty", None, entry=ENTRY.get(name, ""))
