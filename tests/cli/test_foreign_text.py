"""Names out of files reach the terminal as text: no control character, no markup, no second line."""

import pickle
import re

import pytest
from rich.console import Console

from tests.cli.programs import ESCAPE, invoke, printed
from tests.datasets import edit_manifest, write_grid
from ups_data.cli import errors
from ups_data.cli.tables.damage import left_out_table
from ups_data.cli.tables.sheet import Sheet
from ups_data.errors import UpsDataError, printable, shown
from ups_data.schema import LeftOut, Manifest

# A terminal's title, a link, the end of a style that never began, a line of its own, an emoji's name, reversed text.
TITLE = "\x1b]0;owned\x07"
NASTY = f"[/bold]{TITLE}[link=http:x]y[/link]\rerror: fake\n\x9b31m\u202eabc:skull:"
HARMLESS = r"[/bold]\x1b]0;owned\x07[link=http:x]y[/link]\rerror: fake\n\x9b31m\u202eabc:skull:"


def controls(text):
    """Characters that a terminal acts on, line ends aside."""
    return sorted({c for c in text if not c.isprintable() and c != "\n"})


def unfolded(text):
    """A table's or a line's text without the breaks that its width makes."""
    return re.sub(r"[\s│┃]", "", text)


@pytest.mark.parametrize("text", ["Temperature [K]", "å é 流 ρ∂∇ÃŸ 🜁", "a\\b", "", "x × y – z…", "[0.5, 1]"])
def test_honest_text_stays_as_it_is(text):
    assert printable(text) == text


def test_every_control_character_is_written_out():
    acted_on = [*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u2066", "\u2028", "\u200b", "\ud800"]
    for c in acted_on:
        assert printable(f"a{c}b").startswith("a\\")
        assert printable(f"a{c}b").isprintable()
    assert printable(NASTY) == HARMLESS


@pytest.mark.parametrize("text", [NASTY, "[red]", "\\[red]x", "[", "]", "[bold]a[/]", "[@click=x]y"])
def test_shown_text_is_not_markup(text):
    console = Console(emoji=False, width=500)
    with console.capture() as captured:
        console.print(f"[bold]before[/bold] {shown(text)}| after")
    assert captured.get() == f"before {printable(text)}| after\n"


@pytest.mark.parametrize("columns", [200, 40, 10])
def test_a_sheet_shows_text_as_it_is(columns):
    sheet = Sheet("name", "number", title=NASTY, caption=NASTY, folds=("name",))
    sheet.add_row(NASTY, "")
    console = Console(width=columns)
    with console.capture() as captured:
        console.print(sheet)
    assert controls(captured.get()) == []
    assert unfolded(captured.get()).count(unfolded(HARMLESS)) == 3


def test_what_was_left_out(tmp_path):
    write_grid(tmp_path / "d")
    manifest = Manifest.load(tmp_path / "d").model_copy(
        update={"left_out": [LeftOut(key=NASTY, source=NASTY, reason=NASTY)]}
    )
    console = Console(width=300)
    with console.capture() as captured:
        console.print(left_out_table(manifest))
    assert unfolded(captured.get()).count(unfolded(HARMLESS)) == 2


def test_inspect(tmp_path):
    def hostile(manifest):
        manifest["fields"][0].update(units=NASTY, source_dtype=NASTY)

    write_grid(tmp_path / "d")
    edit_manifest(tmp_path / "d", hostile)
    out = printed("inspect", tmp_path / "d", columns=400)
    assert controls(out) == []
    assert unfolded(out).count(unfolded(HARMLESS)) == 2


def test_verify(tmp_path):
    """A file that was slipped into a shard, and a dataset in a folder with such a name."""
    root = tmp_path / NASTY.replace("/", "\u2215")
    write_grid(root)
    name = NASTY.replace("/", "")
    assert controls(printed("verify", root)) == []
    (root / "train/shard-000000.zarr/fields" / name).write_text("")
    done = invoke("verify", root, columns=400)
    assert done.exit_code == 1
    assert "1 damaged shard" in done.stdout
    assert unfolded(printable(name)) in unfolded(done.stdout)
    assert controls(done.stdout) == []


def test_train(tmp_path):
    write_grid(tmp_path / "d", grid=(16, 16), steps=(3, 3))
    out = tmp_path / "[" / "bold]"
    options = ["training.epochs=1", "model.dim=16", "model.tokens=4", "data.batch_size=2"]
    config = tmp_path / "c.yaml"
    config.write_text("{data: {valid_split: '[/bold]'}}")
    for says in ("training without validation", "resumed after 1 epochs"):
        text = printed("train", config, f"data.root={tmp_path / 'd'}", f"out={out}", *options, columns=400)
        assert says in text
        assert controls(text) == []
        assert out.is_dir()
    assert "'[/bold]'" in printed(
        "train", config, f"data.root={tmp_path / 'd'}", f"out={tmp_path / 'other'}", *options, columns=400
    )


def test_an_error_holds_no_control_character():
    """For those who call functions, whose terminals print it too."""
    error = UpsDataError(f"{NASTY}: is not good")
    assert str(error) == f"{HARMLESS}: is not good"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_is_one_line(capsys):
    def fails(**_):
        raise UpsDataError(f"{NASTY}: is not good")

    with pytest.raises(SystemExit) as ended:
        errors.run(fails)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {HARMLESS}: is not good\n"
    assert ESCAPE not in HARMLESS
