"""Every option and every argument of every command, given what nobody means: what is asked for, or one line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.commands import (
    CALLS,
    PATHS,
    PLACED,
    Call,
    arguments_of,
    call,
    configuration,
    furnish,
    keys,
    options_of,
    repeats,
    spelled,
    write_parts,
)
from tests.faults.hostile.tryer import Tryer
from ups_data.cli.main import COMMANDS

SPARSE = 211  # of so many cases, one is in the default run


@pytest.fixture(scope="module")
def kept(tryer: Tryer, open_folder: Path) -> Path:
    """What commands are given, a run that was trained among it."""
    folder = open_folder / "kept"
    folder.mkdir()
    write_parts(folder)
    (open_folder / "kept.yaml").write_text(configuration(folder / "d", folder / "run"))
    answer = tryer("command", "train", open_folder / "kept.yaml")
    assert answer["status"] == 0, answer
    return folder


def given_to(command: str, around: Around, kept: Path) -> Path:
    """The folder of what a command is given; where it writes beside it, that is within what may change."""
    given = around.out / "in" if CALLS[command].changes else around.given
    furnish(kept, given)
    (around.folder / "here").mkdir()
    around.out.mkdir(exist_ok=True)
    around.watch()
    return given


def tried(tryer: Tryer, around: Around, words: list[str], given: Path, named: str = "") -> list[str]:
    """What was wrong; `named` may be written to, and so may the current folder."""
    answer = tryer("command", *words, cwd=str(around.folder / "here"))
    found = wrong({**answer, "digest": ""}, "")
    top = spelled(named.partition("}")[0] + "}", given) if named.startswith("{") else ""
    allowed = (str(around.folder / "here"), *((top, f"{given} was changed") if top else ()))
    return [*found, *(c for c in around.changes() if not c.startswith(allowed))]


def marked(every: list[tuple[str, ...]]) -> list[Any]:
    marks = {False: [], True: [pytest.mark.faults]}
    return [
        pytest.param(*c, marks=marks[n % SPARSE != 0], id=": ".join(map(repr, c))[:70].replace("\\", "/"))
        for n, c in enumerate(every)
    ]


def test_no_command_is_left_out() -> None:
    assert CALLS.keys() == {command.__name__.replace("_", "-") for command in COMMANDS}


@pytest.mark.parametrize("command", [pytest.param(c, marks=[pytest.mark.faults] if c != "seal" else []) for c in CALLS])
def test_as_it_is_meant(tryer: Tryer, around: Around, kept: Path, command: str) -> None:
    """So that what the others are refused for is what they are about; quickstart is refused for its data."""
    given = given_to(command, around, kept)
    answer = tryer("command", command, *call(command, given), cwd=str(around.folder / "here"))
    assert answer["status"] == (2 if command == "quickstart" else 0), answer["stderr"]
    assert not [*wrong({**answer, "digest": ""}, ""), *around.changes()]


@pytest.mark.parametrize(("command", "option"), marked([(c, o) for c in CALLS for o, v in options_of(c) if not v]))
def test_a_flag(tryer: Tryer, around: Around, kept: Path, command: str, option: str) -> None:
    given = given_to(command, around, kept)
    assert not tried(tryer, around, [command, option, *call(command, given)], given)


@pytest.mark.parametrize(
    ("command", "option", "value"), marked([(c, o, v) for c in CALLS for o, values in options_of(c) for v in values])
)
def test_an_option(tryer: Tryer, around: Around, kept: Path, command: str, option: str, value: str) -> None:
    given = given_to(command, around, kept)
    left = tuple(pair for pair in CALLS[command].options if pair[0] != option)
    words = call(command, given, change=lambda intact: replace(intact, options=left))
    count = repeats(command, option)
    of_it = [f"{option}={spelled(value, given)}"] if count == 1 else [option, *[spelled(value, given)] * count]
    assert not tried(tryer, around, [command, *of_it, *words], given, value)


@pytest.mark.parametrize(
    ("command", "place", "value"), marked([(c, n, v) for c in CALLS for n in arguments_of(c) for v in PATHS])
)
def test_an_argument(tryer: Tryer, around: Around, kept: Path, command: str, place: int, value: str) -> None:
    def change(intact: Call) -> Call:
        return replace(intact, arguments=tuple(value if n == place else a for n, a in enumerate(intact.arguments)))

    given = given_to(command, around, kept)
    assert not tried(tryer, around, [command, *call(command, given, change=change)], given, value)


@pytest.mark.parametrize(("key", "value"), marked([(k, v) for k, values in keys() for v in values]))
def test_a_key_of_a_configuration(tryer: Tryer, around: Around, kept: Path, key: str, value: str) -> None:
    """It may name the folder that a run is written to."""
    given = given_to("train", around, kept)
    named = value if key in PLACED else ""
    words = call("train", given)
    assert not tried(tryer, around, ["train", *words, f"{key}={spelled(value, given)}"], given, named)
