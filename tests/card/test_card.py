"""A dataset's card says what the dataset says, shows what lies in it, and does nothing else."""

import builtins
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.programs import printed
from tests.datasets import edit_manifest
from tests.seen import Seen
from ups_data import ShardWriter, UpsDataError
from ups_data.card import write_card, write_page
from ups_data.card.facts import card_of
from ups_data.card.frames import frames_of
from ups_data.card.html import page
from ups_data.card.markdown import code_span, markdown
from ups_data.card.planes import Line, Plane, edges, planes_of, to_scale
from ups_data.card.write import full_card
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.store.root import open_store
from ups_data.store.verify import verify_dataset
from ups_data.trajectory import Axis, PointSet

NASTY = "[a](http:x)`<b>$x$ |\x1b]0;owned\x07\n# fake"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid whose latitudes descend; values are 10 × latitude + longitude."""
    root = tmp_path_factory.mktemp("card") / "flipped"
    lat, lon = np.linspace(60, 30, 4), np.linspace(0, 10, 3)
    u = (10 * lat[:, None] + lon)[None, ..., None].astype(np.float32)
    with ShardWriter(root, source={"path": "/data/era.nc", "format": "xarray"}) as writer:
        for split in ("train", "valid"):
            axes = [Axis("lat", lat, "degrees_north"), Axis("lon", lon, "degrees_east", True)]
            writer.add({"u": u}, axes=axes, split=split, params={"nu": 0.5}, units={"u": "K"})
    return root


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("card") / "mesh"
    rng = np.random.default_rng(0)
    ball, box = rng.standard_normal((300, 3)), rng.uniform(-2, 2, (900, 3))
    ball /= np.linalg.norm(ball, axis=1)[:, None]
    with ShardWriter(root, cast="float32", blocks=4) as writer:
        sets = {
            "surface": PointSet(ball, {"p": ball[None, :, :1]}, units={"p": "Pa"}),
            "volume": PointSet(box, {"v": box[None]}),
        }
        writer.add(sets=sets)
    return root


@pytest.fixture(scope="module")
def drawn(flipped: Path) -> list[str]:
    return write_card(flipped)


def test_a_card_says_what_the_manifest_says(flipped: Path, drawn: list[str]) -> None:
    assert drawn == ["card/u.png", "README.md"]
    text = (flipped / "README.md").read_text()
    assert "# Dataset of `era.nc`" in text
    assert "2 trajectories of 1 frame with `u` on a grid of 4 × 3 points (`lat` × `lon`)" in text
    assert "| 0 | `lat` | 4 | 60 | 30 | `degrees_north` | descending | 10 |  |" in text
    assert "| 1 | `lon` | 3 | 0 | 10 | `degrees_east` | ascending | 5 | periodic |" in text
    statistics = Manifest.load(flipped).split("valid").statistics["u"]
    assert f"| `u` | `valid` | {statistics.mean[0]:.6g} | {statistics.std[0]:.6g} | 300 | 610 | 0 |" in text
    assert "| `nu` | `train` | 0.5 | 0 | 0.5 | 0.5 |" in text
    assert "| `path` | `/data/era.nc` |" in text
    assert "![u.png](card/u.png)" in text
    assert (flipped / "card" / "u.png").read_bytes().startswith(PNG)
    assert verify_dataset(flipped) == []


def test_the_lines_of_a_card_run(flipped: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (flipped / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(flipped)
    names: dict[str, object] = {}
    exec(code.replace("ratio=0.1", "ratio=0.5").replace("batch_size=8", "batch_size=1"), names)
    np.testing.assert_array_equal(names["shard"].frame("u", 0, 0)[0], 600)  # type: ignore[attr-defined]


def test_the_same_bytes_again(flipped: Path, drawn: list[str]) -> None:
    before = {key: (flipped / key).read_bytes() for key in drawn}
    assert write_card(flipped) == drawn
    assert {key: (flipped / key).read_bytes() for key in drawn} == before


def test_a_label_says_where_an_index_grows() -> None:
    lat = Line("lat", "degrees_north", np.array([60.0, 30.0]), 0)
    assert lat.label() == "lat [degrees_north]\naxis 0: 2 points, index grows ←"
    assert Line("x", "m", np.arange(3.0), 1).label() == "x [m]\naxis 1: 3 points, index grows →"
    assert Line("x", None, np.array([0.0, 1.0])).label() == "x →"


@pytest.mark.parametrize(
    ("names", "plane"),
    [(("y", "x"), Plane(1, 0)), (("x", "y"), Plane(0, 1)), (("lat", "lon"), Plane(1, 0)), (("r", "s"), Plane(1, 0))],
)
def test_x_is_drawn_from_left_to_right_whatever_the_order_of_axes(names: tuple[str, ...], plane: Plane) -> None:
    assert planes_of(names, points=False) == [plane]


def test_axes_of_one_unit_are_to_scale() -> None:
    def line(units: str | None, length: float) -> Line:
        return Line("x", units, np.array([0.0, length]))

    assert to_scale(line("m", 1), line("m", 3))
    assert not to_scale(line("m", 1), line("s", 1))
    assert not to_scale(line("m", 1), line("m", 100))  # nothing could be seen
    np.testing.assert_allclose(edges(np.array([3.0, 2.0, 0.0])), [3.5, 2.5, 1.0, -1.0])


def test_frames_are_the_dataset_s_with_points_drawn_of_them(mesh: Path) -> None:
    manifest = Manifest.load(mesh)
    [frame] = frames_of(open_store(mesh), manifest, manifest.field("v"))
    assert frame.coords is not None
    np.testing.assert_array_equal(frame.values, frame.coords)  # as it was made
    assert len(np.unique(frame.drawn)) == len(frame.drawn) == 45
    text = markdown(card_of(manifest), "card")
    assert "| `surface` | 300 | x | -0.99" in text
    assert "| `v` |  | 3 | by frame | float32 | `float64` | `volume` |" in text


def test_points_without_a_value_are_not_drawn(tmp_path: Path) -> None:
    u = np.ones((1, 20, 20, 1), np.float32)
    u[:, :10] = np.nan
    with ShardWriter(tmp_path / "d", allow_nonfinite=True) as writer:
        writer.add({"u": u})
    manifest = Manifest.load(tmp_path / "d")
    [frame] = frames_of(open_store(tmp_path / "d"), manifest, manifest.field("u"))
    assert len(np.unique(frame.drawn)) == 10
    assert (frame.drawn >= 200).all()


def test_a_card_says_which_points_count_and_what_they_measure(tmp_path: Path, flipped: Path, mesh: Path) -> None:
    """Of a mask in one split only, of one that moves, and of sets with and without sizes."""
    u = np.ones((2, 4, 3, 1), np.float32)
    holes = np.ones((2, 4, 3), bool)
    holes[0, 1, 1] = holes[1, 1, :2] = False
    with ShardWriter(tmp_path / "d", mask_fill=-5.0) as writer:
        writer.add({"u": u}, split="train")
        writer.add({"u": u}, split="valid", mask=holes)
    text = markdown(card_of(manifest := Manifest.load(tmp_path / "d")), "card")
    assert "| split | points that count | of | which | the others hold |" in text
    assert "| `train` | 12 | 12 | all | -5 |\n| `valid` | 10 to 11 | 12 | change by frame | -5 |" in text
    assert "Sizes of the cells: all are equal." in text
    assert "10 to 11" in page(card_of(manifest))
    ball = np.random.default_rng(0).random((30, 3))
    sets = {
        "wall": PointSet(ball, {"p": ball[None, :, :1]}, {"wall_area": ball[:, :1]}, mask=np.arange(30) > 3),
        "air": PointSet(ball, {"v": ball[None]}),
    }
    with ShardWriter(tmp_path / "sets", cast="float32") as writer:
        writer.add(sets=sets)
    text = markdown(card_of(Manifest.load(tmp_path / "sets")), "card")
    assert "| `wall` | `train` | 26 | 30 | constant | 0 |" in text
    assert "Sizes of the cells of `wall`: the field `wall_area`." in text
    assert "Sizes of the cells of `air`: not known; means are over points." in text
    text = markdown(card_of(Manifest.load(flipped)), "card")
    assert "points that count" not in text
    assert "Sizes of the cells: they differ, and follow from the axes." in text  # shrinking towards the pole


def test_nothing_in_foreign_text_acts(flipped: Path, drawn: list[str], tmp_path: Path) -> None:
    """Units, paths, reasons: in Markdown all of it stands in spans of code, in HTML nothing of it is markup."""

    def spoil(manifest: dict) -> None:
        manifest["source"] = {NASTY: NASTY, "path": f"/x/{NASTY}"}
        manifest["fields"][0]["units"] = manifest["grid"]["axes"][0]["units"] = manifest["time_units"] = NASTY
        manifest["not_stored"] = {NASTY: NASTY}
        manifest["left_out"] = [{"key": NASTY, "source": NASTY, "reason": NASTY * 40}]

    root = tmp_path / "nasty"
    shutil.copytree(flipped, root)
    edit_manifest(root, spoil)
    card = full_card(open_store(root), Manifest.load(root))
    text = markdown(card, "card")
    [picture] = card.sections[0].pictures
    assert picture.png is not None
    assert picture.png != (flipped / "card" / "u.png").read_bytes()
    assert "\x1b" not in text
    outside = re.sub(r"`[^`\n]*`", "", text.partition("## How to load it")[0])
    outside = outside.replace("![u.png](card/u.png)", "")
    assert not re.search(r"[<>$\[\]\\]|fake|http", outside)
    shown = page(card)
    seen = Seen()
    seen.feed(shown)
    assert not seen.tags & {"script", "iframe", "link", "object", "a", "b"}
    assert [address[:22] for address in seen.addresses] == ["data:image/png;base64,"]
    assert "default-src 'none'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", ["a`b", "a|b\\", "``", "|", "\\", "\n\n# x", " "])
def test_a_span_of_code_ends_where_it_should(text: str) -> None:
    span = code_span(text, in_table=True)
    assert span == "" or (span.count("`") == 2 and span[0] == span[-1] == "`")
    assert not re.search(r"(?<!\\)(\\\\)*\|", span)


def test_without_matplotlib_there_is_a_text(
    flipped: Path, drawn: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", absent)
    text = write_page(flipped, tmp_path / "page.html").read_text()
    assert "matplotlib was not installed" in text
    assert "<img" not in text


def test_a_text_of_somebody_else_stays(flipped: Path, drawn: list[str], tmp_path: Path) -> None:
    root = tmp_path / "theirs"
    shutil.copytree(flipped, root)
    (root / "README.md").write_text("mine")
    with pytest.raises(UpsDataError, match="was not written by ups-data") as error:
        write_card(root)
    assert "\n" not in str(error.value)
    assert (root / "README.md").read_text() == "mine"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "u.npy"
    np.save(path, np.random.default_rng(0).standard_normal((4, 2, 6, 6, 1)).astype(np.float32))
    return path


def test_a_conversion_writes_its_card_and_the_same_data(source: Path, tmp_path: Path) -> None:
    options = ("--split", "train=0.5,valid=0.5")
    printed("convert", source, "--out", tmp_path / "with", *options)
    printed("convert", source, "--out", tmp_path / "without", "--no-card", *options)
    files = {
        name: {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("with", "without")
    }
    card = {Path("README.md"), Path("card/data.png")}
    assert set(files["with"]) - set(files["without"]) == card
    assert {p: b for p, b in files["with"].items() if p not in card} == files["without"]
    assert "is complete already" in printed("convert", source, "--out", tmp_path / "with", *options)
    printed("copy", tmp_path / "with", tmp_path / "copied")
    assert (tmp_path / "copied" / "README.md").read_bytes() == files["with"][Path("README.md")]
    assert (tmp_path / "copied" / "card" / "data.png").read_bytes() == files["with"][Path("card/data.png")]


class Ended(Exception):
    pass


def test_stopped_at_the_card_a_conversion_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards are finished, the card is begun: the dataset is not there yet, and the next run finishes it."""
    from ups_data.store.local import LocalStore

    put = LocalStore.put

    def end(self: LocalStore, key: str, data: bytes) -> None:
        put(self, key, data)
        if key == "card/data.png":
            raise Ended

    monkeypatch.setattr(LocalStore, "put", end)
    with pytest.raises(Ended):
        convert(source, tmp_path / "d", split={"train": 1.0}, card=True)
    assert not (tmp_path / "d" / "dataset.json").exists()
    monkeypatch.undo()
    convert(source, tmp_path / "d", split={"train": 1.0}, card=True)
    assert verify_dataset(tmp_path / "d") == []
    assert (tmp_path / "d" / "README.md").exists()
    assert not list((tmp_path / "d").glob(".conversion"))
