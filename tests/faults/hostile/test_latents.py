"""A folder of latents that somebody else has prepared: the latents as they were made, or one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import edit_manifest
from tests.faults.hostile.around import Around, wrong
from tests.faults.hostile.commands import configuration, write_parts
from tests.faults.hostile.test_datasets import CLAIMS, PARTS
from tests.faults.hostile.tryer import Tryer
from tests.faults.hostile.ways import WAYS

SPARSE = 90


@pytest.fixture(scope="module")
def made(tryer: Tryer, open_folder: Path) -> Path:
    """A dataset `d`, a run `run` on it, and its `latents`."""
    folder = open_folder / "with-latents"
    folder.mkdir()
    write_parts(folder)
    (folder / "c.yaml").write_text(configuration(folder / "d", folder / "run"))
    for words in (("train", folder / "c.yaml"), ("latents", folder / "run", folder / "d", "--out", folder / "latents")):
        answer = tryer("command", *words)
        assert answer["status"] == 0, answer
    return folder


def trained(tryer: Tryer, made: Path, around: Around, **options: Any) -> dict[str, Any]:
    """How training on the latents in `given` ends; it verifies what it reads."""
    text = configuration(made / "d", around.out / "run").replace("threads: 0", f"threads: 0, latents: {around.given}/l")
    around.out.mkdir(exist_ok=True)
    around.out.chmod(0o777)
    path = around.folder / "c.yaml"
    path.write_text(text.replace("training: {", f"training: {{start_from: {made / 'run'}, "))
    around.watch()
    return {**tryer("command", "train", path, **options), "digest": ""}


def place(made: Path) -> Path:
    """Of the latents' dataset in its folder."""
    [manifest] = (made / "latents").glob("**/dataset.json")
    return manifest.parent.relative_to(made / "latents")


def cases() -> list[Any]:
    parts = [part for part in PARTS if part not in ("index", "group")]
    every = [(part, way) for part in parts for way in WAYS]
    marks = {False: [], True: [pytest.mark.faults]}
    return [pytest.param(*c, marks=marks[n % SPARSE != 0], id=": ".join(c)) for n, c in enumerate(every)]


def test_as_they_are(tryer: Tryer, around: Around, made: Path) -> None:
    shutil.copytree(made / "latents", around.given / "l")
    answer = trained(tryer, made, around)
    assert answer["status"] == 0, answer
    assert not [*wrong(answer, ""), *around.changes()]


@pytest.mark.parametrize(("part", "way"), cases())
def test_a_file(tryer: Tryer, around: Around, made: Path, part: str, way: str) -> None:
    """Of one that is spoilt, what is right is that it is refused, or that nothing but what lies behind its end was."""
    shutil.copytree(made / "latents", around.given / "l")
    path = next(p for p in sorted((around.given / "l" / place(made)).glob(_object(PARTS[part]))) if not p.is_dir())
    WAYS[way].do(path)
    answer = trained(tryer, made, around)
    unseen = part == "times" or not WAYS[way].refused or WAYS[way].nobody
    assert not [*wrong(answer, "" if unseen else None), *around.changes()]


def _object(part: str) -> str:
    return part.replace("fields/u/c/0/0/0", "fields/latent/c/**/*").replace("fields/u", "fields/latent")


def of_shard(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda m: m["splits"]["train"]["shards"][0].update(values)


OWN: dict[str, Callable[[dict[str, Any]], object]] = {
    "fewer trajectories": of_shard(steps=[3]),
    "fewer frames": of_shard(steps=[1, 1]),
    "no shard": lambda m: m["splits"]["train"].update(shards=[]),
    "no such split": lambda m: m["splits"].pop("train"),
    "another field": lambda m: m["fields"][0].update(name="other"),
    "other channels": lambda m: m["fields"][0].update(channels=3),
    "another encoder": lambda m: m["source"].update(encoder="0" * 64),
    "no encoder": lambda m: m["source"].pop("encoder"),
    "an encoder that is a path": lambda m: m["source"].update(encoder="../x"),
}
UNSEEN = {"importance", "a split that is a path", "another version", "a negative seed of blocks"}


@pytest.mark.parametrize(
    "claim", [pytest.param(c, marks=[] if c == "no shard" else [pytest.mark.faults]) for c in {**CLAIMS, **OWN}]
)
def test_a_manifest_that_claims(tryer: Tryer, around: Around, made: Path, claim: str) -> None:
    shutil.copytree(made / "latents", around.given / "l")
    try:
        edit_manifest(around.given / "l" / place(made), {**CLAIMS, **OWN}[claim])
    except (KeyError, TypeError):
        pytest.skip("latents have no such part")
    answer = trained(tryer, made, around)
    assert not [*wrong(answer, "" if answer["status"] == 0 and claim in UNSEEN else None), *around.changes()]
