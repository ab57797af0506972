"""Files of VTK, EnSight and OpenFOAM that lead vtk's readers to others, in every way that their parsers know."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.faults.hostile.around import Around
from tests.sources import solver_files, vtk_text
from ups_data import UpsDataError
from ups_data.sources import SourceOptions, open_source
from ups_data.sources.meshes.references.openfoam import CHUNK, REACH, check_includes

vtk = pytest.importorskip("vtkmodules.all", reason="vtk is not installed: pip install 'ups_data[mesh]'")
OUT = "../others/x.vtu"
GAP = " " * 5000


def mesh(path: Path) -> None:
    points, cells = vtk_text.hexes(2)
    vtk_text.vtu(path, vtk_text.piece(points, cells, [12] * 2, {"T": points[:, 0]}))


def parallel(piece: str, kind: str = 'type="PUnstructuredGrid"', before: str = "") -> str:
    arrays = '<PPoints><PDataArray type="Float64" Name="Points" NumberOfComponents="3"/></PPoints>'
    data = '<PPointData><PDataArray type="Float32" Name="T" NumberOfComponents="1"/></PPointData>'
    return (
        f'<?xml version="1.0"?>{before}<VTKFile {kind} version="1.0" byte_order="LittleEndian" header_type="UInt64">'
        f"<PUnstructuredGrid>{data}{arrays}<Piece {piece}/></PUnstructuredGrid></VTKFile>"
    )


def blocks(block: str, before: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{before}<VTKFile type="vtkMultiBlockDataSet" version="1.0"><vtkMultiBlockDataSet>'
        f'<DataSet index="0" name="a" {block}/></vtkMultiBlockDataSet></VTKFile>'
    )


# What leads out → the file that is opened, and what lies beside it.
NAMES: dict[str, tuple[str, str, list[str]]] = {
    "as it is": ("a.pvtu", parallel(f'Source="{OUT}"'), []),
    "single quotes": ("a.pvtu", parallel(f"Source='{OUT}'"), []),
    "a quote in it": ("a.pvtu", parallel(f"Source='\"d/../{OUT}'"), ['"d/']),
    "spaces around the sign": ("a.pvtu", parallel(f'Source \n=\t"{OUT}"'), []),
    "a type far behind": ("a.pvtu", parallel(f'Source="{OUT}"', f'{GAP}type="PUnstructuredGrid"'), []),
    "a type written as numbers": ("a.pvtu", parallel(f'Source="{OUT}"', 'type="&#80;UnstructuredGrid"'), []),
    "characters as numbers": (
        "a.pvtu",
        parallel('Source="&#46;&#46;&#47;others&#47;x.vtu"'),
        ["&#46;&#46;&#47;others&#47;x.vtu"],
    ),
    "an entity": (
        "a.pvtu",
        parallel('Source="&e;"', before=f'<!DOCTYPE VTKFile [<!ENTITY e "{OUT}">]>'),
        ["&e;"],
    ),
    "behind what looks like the data": (
        "a.pvtu",
        parallel(f'Source="{OUT}"', before='<!-- <AppendedData encoding="raw"> _ -->'),
        [],
    ),
    "behind a tag in a comment": ("a.vtm", blocks(f'file="{OUT}"', before="<!-- <VTKFile a='> -->"), []),
    "a block": ("a.vtm", blocks(f'file="{OUT}"'), []),
    "a block by number": ("a.vtm", blocks('file="&#x2e;&#x2e;/others/x.vtu"'), []),
    "an absolute one": ("a.vtm", blocks('file="{others}/x.vtu"'), []),
    "a link": ("a.vtm", blocks('file="link.vtu"'), []),
    "a link to a folder": ("a.vtm", blocks('file="links/x.vtu"'), []),
    "a block's pieces": ("a.vtm", blocks('file="b.pvtu"'), []),
    "a frame's pieces": (
        "a.pvd",
        '<?xml version="1.0"?><VTKFile type="Collection"><Collection>'
        '<DataSet timestep="0" file="b.pvtu"/></Collection></VTKFile>',
        [],
    ),
    "a frame's blocks": (
        "a.pvd",
        '<?xml version="1.0"?><VTKFile type="Collection"><Collection>'
        '<DataSet timestep="0" file="b.vtm"/></Collection></VTKFile>',
        [],
    ),
    "a series' pieces": (
        "a.vtu.series",
        '{"file-series-version": "1.0", "files": [{"name": "b.pvtu", "time": 0}]}',
        [],
    ),
}


def furnished(around: Around, name: str) -> Path:
    mesh(around.others / "x.vtu")
    file, text, beside = NAMES[name]
    for path in beside:
        (around.given / path.rstrip("/")).mkdir() if path.endswith("/") else mesh(around.given / path)
    (around.given / "b.pvtu").write_text(parallel(f'Source="{OUT}"'))
    (around.given / "b.vtm").write_text(blocks(f'file="{OUT}"'))
    (around.given / "link.vtu").symlink_to(around.others / "x.vtu")
    (around.given / "links").symlink_to(around.others)
    (around.given / file).write_text(text.replace("{others}", str(around.others)))
    return around.given / file


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_xml(around: Around, name: str) -> None:
    path = furnished(around, name)
    around.watch()
    with pytest.raises(UpsDataError, match="outside of its folder|entities") as error:
        list(open_source(path))
    assert "\n" not in str(error.value)
    assert around.changes() == []


def test_what_is_meant_is_read(around: Around) -> None:
    """With links allowed; and names within the folder, written in these ways."""
    path = furnished(around, "as it is")
    assert open_source(path, options=SourceOptions(allow_links=True))[0].fields["T"].shape == (1, 12, 1)
    mesh(around.given / "in & out.vtu")
    for name in ("in &amp; out.vtu", "in &#38; out.vtu"):
        (around.given / "c.pvtu").write_text(parallel(f'Source="{name}"', before="<!-- as it is meant -->"))
        [t] = open_source(around.given / "c.pvtu")
        assert t.fields["T"].shape == (1, 12, 1)


@pytest.mark.faults
@pytest.mark.parametrize("text", [b"<!--" * 300_000, b"<a '" * 300_000, b"<a \"'<" * 300_000, b"<" * 10**6])
def test_tags_without_an_end_take_no_time(around: Around, text: bytes) -> None:
    (around.given / "a.vtu").write_bytes(b'<?xml version="1.0"?><VTKFile type="PUnstructuredGrid">' + text)
    with pytest.raises(UpsDataError):
        list(open_source(around.given / "a.vtu"))


CASE = "FORMAT\ntype: ensight gold\nGEOMETRY\nmodel: {model}\nVARIABLE\nscalar per node: {scalar}\n{more}"
CASES: dict[str, dict[str, str]] = {
    "a model": {"model": "../others/a.geo"},
    "a model that only moves": {"model": "1 ../others/a.geo change_coords_only"},
    "a field of a step": {"scalar": "1 T ../others/a.T****"},
    "an absolute one": {"scalar": "1 T {others}/a.T0000"},
    "in quotes": {"scalar": '1 T "../others/a.T0000"'},
    "a link": {"model": "link.geo"},
    "links of steps": {"scalar": "1 T link.T****"},
    "a complex field": {"more": "complex scalar per node: 1 c ../others/a.T0000 a.T0000 1.0\n"},
    "times": {"more": "TIME\ntime set: 1\nnumber of steps: 1\ntime values file: ../others/times\n"},
    "a pipe": {"model": "pipe"},
    "pipes of steps": {"scalar": "1 T pipe.T****"},
}


@pytest.mark.parametrize("name", CASES)
def test_a_name_in_a_case(around: Around, name: str) -> None:
    for folder in (around.given, around.others):
        solver_files.write_ensight(folder, np.arange(4.0)[None], [0.0])
    (around.given / "link.geo").symlink_to(around.others / "a.geo")
    (around.given / "link.T0000").symlink_to(around.others / "a.T0000")
    for pipe in ("pipe", "pipe.T0000"):
        os.mkfifo(around.given / pipe)
    words = {"model": "a.geo", "scalar": "1 T a.T0000", "more": "", **CASES[name]}
    text = CASE.format(**{key: word.replace("{others}", str(around.others)) for key, word in words.items()})
    (around.given / "a.case").write_text(text)
    around.watch()
    with pytest.raises(UpsDataError, match="no regular file" if "pipe" in name else "outside of its folder"):
        list(open_source(around.given / "a.case"))
    assert around.changes() == []


DIRECTIVES: dict[str, str] = {
    "at the begin of a line": '#include "{out}"',
    "behind something": 'a 1; #include "{out}"',
    "behind a comment": '/* a */ #include "{out}"',
    "another word": '#sinclude "{out}"',
    "if it is there": '#includeIfPresent "{out}"',
    "behind a space": '# include "{out}"',
    "behind a comment within": '#/* a */include "{out}"',
    "behind a line of a comment": '# // a\n// b\ninclude "{out}"',
    "in quotes": '#"include" "{out}"',
    "escaped": '#"in\\clude" "{out}"',
    "a name that is escaped": '#include "..\\/others/p"',
    "a name on the next line": '#include\n\n"{out}"',
    "a name behind a comment": '#include /* a */ "{out}"',
    "a home": '#include "~/p"',
    "somebody's home": '#include "~root/p"',
    "a variable": '#include "a/$HOME/../p"',
    "the case": '#include "<case>/../others/p"',
    "a word": "#include ~",
    "far behind": " " * (CHUNK + 100) + '#include "{out}"',
    "around the end of a piece": " " * (CHUNK - 4) + '#include "{out}"',
    "behind a long comment": "#/*" + "x" * (REACH + 10) + '*/include "{out}"',
    "in what is included": '#include "more"',
}


@pytest.mark.parametrize("compressed", [False, pytest.param(True, marks=pytest.mark.faults)])
@pytest.mark.parametrize(
    "place",
    ["constant/polyMesh/boundary", *(pytest.param(p, marks=pytest.mark.faults) for p in ("0/p", "system/controlDict"))],
)
@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive(around: Around, name: str, place: str, compressed: bool) -> None:
    case = around.given / "case"
    solver_files.write_openfoam(case, {"0": {"p": np.arange(3.0)}})
    (around.others / "p").write_text((case / "0/p").read_text())
    line = DIRECTIVES[name].replace("{out}", str(around.others / "p"))
    for path in {case / place, (case / place).parent / "more"}:
        had = (path.read_text() if path.exists() else "") + "\n"
        path.write_text(had + (line if path.name != "more" else f'#include "{around.others}/p"\n') + "\n")
    if compressed:
        Path(f"{case / place}.gz").write_bytes(gzip.compress((case / place).read_bytes(), 1))
        (case / place).unlink()
    around.watch()
    with pytest.raises(UpsDataError, match="which leads out of the case or runs code"):
        check_includes(case, 200)
    assert around.changes() == []


@pytest.mark.parametrize(
    "line",
    [
        '#include "q"',
        "#include q\n",
        "// what the mesh includes\n",
        "/* a */ include 1;",
        "#inputMode merge\n",
        "#{ # }\n #}",
    ],
)
def test_what_leads_nowhere_is_read(around: Around, line: str) -> None:
    """Within the case, or in a file that no reader opens."""
    case = around.given / "case"
    solver_files.write_openfoam(case, {"0": {"p": np.arange(3.0)}})
    (case / "0/q").write_text("a 1;\n")
    with open(case / "0/p", "a") as file:
        file.write(line)
    (case / "Allrun").write_text('# include "/etc/passwd"\n')
    check_includes(case, 200)
    assert open_source(case)[0].fields["p"].shape == (1, 3, 1)


@pytest.mark.faults
def test_a_bomb_in_a_case(around: Around) -> None:
    solver_files.write_openfoam(around.given, {"0": {"p": np.arange(3.0)}})
    (around.given / "0/U.gz").write_bytes(gzip.compress(bytes(260 << 20), 1))
    with pytest.raises(UpsDataError, match="more than 200 times"):
        check_includes(around.given, 200)


# What vtk does not follow, whatever it looks like.
REFUSED_BY_VTK = {"behind what looks like the data"}


@pytest.mark.parametrize("name", [name for name, (file, _, _) in NAMES.items() if file.endswith(".pvtu")])
def test_names_are_as_the_parser_has_them(around: Around, name: str) -> None:
    """Without a look at them, vtk follows each: else the table would test nothing."""
    path = furnished(around, name)
    around.watch()
    reader = vtk.vtkXMLGenericDataObjectReader()
    reader.SetFileName(str(path))
    reader.Update()
    assert any("x.vtu was read" in change for change in around.changes()) == (name not in REFUSED_BY_VTK)
