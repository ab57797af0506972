"""What every command is given: an intact call of it, and the values that its options are then given.

Options are those of the program itself: a new one is tried without a word here, a new command needs its call.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, get_args

import numpy as np
import typer

from tests.datasets import fields
from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.cli.main import app
from ups_data.models.config import ModelConfig
from ups_data.training.config import DataConfig, TrainingConfig

SMALL_MODEL = "model: {dim: 16, depth: 1, heads: 2}"


@dataclass(frozen=True)
class Call:
    """A call of a command in a folder that `furnish` has filled; `changes`: it writes into what it reads."""

    arguments: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()
    changes: bool = False


# Paths in braces lie in the folder that is given, `{out}` beside it.
CALLS: dict[str, Call] = {
    "convert": Call(("{u.npy}",), (("--out", "{out}"),), flags=("--no-card",)),
    "inspect": Call(("{d}",), (("--plot", "{out}/x.png"),)),
    "card": Call(("{d}",), changes=True),
    "verify": Call(("{d}",)),
    "copy": Call(("{d}", "{out}")),
    "merge": Call(("{d}", "{e}"), (("--out", "{out}"),)),
    "export": Call(("{d}",), (("--to", "netcdf"), ("--out", "{out}"))),
    "train": Call(("{c.yaml}",)),
    "evaluate": Call(("{run}",)),
    "predict": Call(("{run}", "{d}"), (("--out", "{out}"),)),
    "report": Call(("{run}",), changes=True),
    "latents": Call(("{run}", "{d}"), changes=True),
    "noise": Call(("{c.yaml}",), (("--samples", "2"), ("--ratios", "0.5"), ("--modes", "random"))),
    "suggest-points": Call(("{c.yaml}",), (("--samples", "2"), ("--ratios", "0.5"), ("--modes", "random"))),
    "importance": Call(("{d}",), changes=True),
    "seal": Call(("{d}",), changes=True),
    "cache": Call(("{cache}",), changes=True),
    "bench": Call(("{d}",), (("--seconds", "0.1"),)),
    "simulate": Call(("heat-3d",), (("--out", "{out}/x.h5"), ("--cases", "1"), ("--size", "4"), ("--steps", "2"))),
    # Whole, it takes minutes: it is always given simulations that are refused.
    "quickstart": Call((), (("--out", "{out}"), ("--data", "{empty}"))),
}

NUMBERS = [
    *(str(2**63), str(-(2**63) - 1), str(10**400), "1e400", "nan", "-inf", "0.5x", "", "\x1b[1m"),
    *("0", "-1", "0.5", "1000000", "2147483648", "1e-320", "1_0"),
]
TEXTS = [
    *("", "\x1b[1m", "../x", "/x", "a\nb", "a\udcffb", "x" * 5000, ",", "=", "=1", "a=", "[/bold]", "${oc.env:HOME}"),
    *("nan", "-inf", "1e999", str(10**400), "a=nan", "a=1e999", "a=b", "\u202e", "..", "a=..", "a=1..0", "1.." * 2000),
]
# Names of paths that `furnish` or nobody makes; the last ones are outside of what is given.
PATHS = [
    *("{missing}/x", "{folder}", "", "{a\x1b[1m}/x", "{" + "x" * 300 + "}", "{empty}", "{pipe}", "{loop}", "{socket}"),
    *("{a\udcff}/x", "{a\udcff}", "{c.yaml}", "{d}", "/dev/zero", "/proc/self/mem", "/proc/x", "{empty}/x"),
    *("{d}/dataset.json", "http://", "s3://", "file://x/y", "http://127.0.0.1:1/d", "http://[/d", "{u.npy}", "{text}"),
    *("{to-pipe}", "{to-nothing}", "{to-empty}", "/dev/stdout"),
]
# Beside these, where one means something of its own.
MORE: dict[tuple[str, str], list[str]] = {
    ("convert", "--blocks"): ["1000000000"],
    ("convert", "--cast"): ["float128", "__import__('os')"],
    ("convert", "--split"): ["train=nan", "train=1,train=0", "../x=1", "a/b=1", "x=1e999"],
    ("convert", "--rename"): ["data=../x", "data=a\nb", "data"],
    ("convert", "--split-param"): ["nu", "a=..1"],
    ("convert", "--dask"): ["local:0", "local:-1", "local:1000000", "local:x", "tcp://x:y", "tcp://127.0.0.1:1"],
    ("inspect", "--number"): ["100"],
    ("bench", "--horizon"): ["100"],
    ("predict", "--resolution"): ["0x0", "1x1", "-1x3", "8", "8x8x8", "99999x99999", "1000000x1", "8x"],
    ("predict", "--format"): ["vtk"],
    ("evaluate", "--device"): ["cuda:99", "meta", "cpu:7", "mps"],
    ("noise", "--ratios"): ["0", "2", "0.1,nan", "1e-300"],
    ("suggest-points", "--ratios"): ["0", "2", "0.1,nan", "1e-300"],
    ("export", "--to"): ["vtk", "the_well", "noether"],
}

LONG = {("quickstart", "--data"): ["{u.npy}"]}  # sound, and takes minutes
PLACES = {("convert", "--out"), ("merge", "--out")}  # texts that are paths, too


def options_of(command: str) -> Iterator[tuple[str, list[str]]]:
    """Every option of a command, and the values that it is tried with; of a flag, none."""
    program: Any = typer.main.get_command(app)
    for option in program.commands[command].params:
        if option.param_type_name == "option":
            name = option.opts[0]
            values = PATHS if (command, name) in PLACES else _values(option)
            values = [value for value in values if value not in LONG.get((command, name), ())]
            yield name, [] if getattr(option, "is_flag", False) else [*values, *MORE.get((command, name), [])]


# What any key of a configuration is given, and those that name places.
VALUES = [
    *("", "null", "nan", "-1", "0", "0.5", "1000000", "2147483648", str(2**63), "1e400", "\x1b[1m", "[/bold]"),
    *("${oc.env:HOME}", "x" * 5000, "[]", "{}", "{a: 1}", "[[1]]", "[1000000,1000000]", "[true]"),
]
PLACED = ("data.root", "data.cache", "data.latents", "training.start_from", "out")


def keys() -> Iterator[tuple[str, list[str]]]:
    """Every key of a configuration, and the values that it is tried with."""
    of_data = (spec.name for spec in fields_of(DataConfig) if spec.init)
    sections = {"data": of_data, "model": ModelConfig.model_fields, "training": TrainingConfig.model_fields}
    for key in (*(f"{section}.{name}" for section, names in sections.items() for name in names), "out"):
        yield key, [*VALUES, *(PATHS if key in PLACED else [])]


def arguments_of(command: str) -> list[int]:
    """The places of a command's arguments."""
    return list(range(len(CALLS[command].arguments)))


def _values(option: Any) -> list[str]:
    kinds = _kinds(option.type_descriptor.annotation)
    return PATHS if Path in kinds else NUMBERS if {int, float} & kinds else TEXTS


def _kinds(annotation: Any) -> set[type]:
    parts = get_args(annotation)
    return set().union(*map(_kinds, parts)) if parts else {annotation}


def repeats(command: str, option: str) -> int:
    """How many values an option takes at once."""
    program: Any = typer.main.get_command(app)
    return next(p.nargs for p in program.commands[command].params if option in p.opts)


def write_parts(folder: Path) -> None:
    """What calls name, but for the run: two datasets, a file of simulations, a cache."""
    for name in "de":
        with ShardWriter(folder / name) as writer:
            for n, split in enumerate(("train", "train", "valid", "test")):
                values = {"u": fields(n + 10 * (name == "e"), 3, (8, 8))}
                writer.add(values, split=split, time=0.5 * np.arange(3), params={"nu": 0.1 * n}, key=f"{name}{n}")
    np.save(folder / "u.npy", np.ones((4, 3, 8, 8, 1), np.float32))
    sampling = QuerySampling(ratio=0.5)
    for _ in QueryLoader(
        folder / "d", split="train", batch_size=2, sampling=sampling, threads=0, cache=folder / "cache"
    ):
        pass


def configuration(root: Path, out: Path) -> str:
    return (
        f"data: {{root: {root}, batch_size: 2, threads: 0}}\n{SMALL_MODEL}\nout: {out}\n"
        "training: {epochs: 1, max_steps: 1, lr_warmup_steps: 0, device: cpu}\n"
    )


def furnish(kept: Path, given: Path) -> None:
    """Copies of what is kept, and what is in the way."""
    shutil.copytree(kept, given, dirs_exist_ok=True)
    (given / "c.yaml").write_text(configuration(given / "d", given.parent / "out" / "run"))
    (given / "empty").touch()
    (given / "text").write_text("0.1,0.2\n")
    (given / "folder").mkdir()
    os.mkfifo(given / "pipe")
    (given / "loop").symlink_to("loop")
    for name in ("pipe", "nothing", "empty"):
        (given / f"to-{name}").symlink_to(name)
    before = os.getcwd()
    os.chdir(given)  # the path of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    finally:
        os.chdir(before)


def spelled(text: str, given: Path) -> str:
    """With the paths in place of their names in braces."""
    if not text.startswith("{"):
        return text
    name, _, rest = text[1:].partition("}")
    return str(given.parent / "out" if name == "out" else given / name) + rest


def call(command: str, given: Path, *, change: Callable[[Call], Call] = lambda intact: intact) -> list[str]:
    """The words of a call."""
    changed = change(CALLS[command])
    options = [word for name, value in changed.options for word in (name, spelled(value, given))]
    return [*changed.flags, *options, "--", *(spelled(a, given) for a in changed.arguments)]
