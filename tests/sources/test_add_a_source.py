"""The page `docs/add-a-source.md`, word for word: a format outside of the package, converted end to end."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.sources import files
from ups_data import QueryLoader, QuerySampling, UpsDataError
from ups_data.conversion.convert import convert
from ups_data.schema import Manifest
from ups_data.sources import FORMATS, Content, Source, open_source, register_source, registry

PAGE = Path(__file__).parents[2] / "docs" / "add-a-source.md"
CODE, USE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
POINT = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


def write_runs(folder: Path, count: int = 4, frames: int = 3, probes: int = 6) -> dict[str, np.ndarray]:
    runs = {f"run_{n}": files.values(frames, probes, seed=n) for n in range(count)}
    folder.mkdir()
    for name, values in runs.items():
        rows = [",".join(map(repr, map(float, [0.25 * t, *row]))) for t, row in enumerate(values)]
        (folder / f"{name}.dat").write_text("\n".join(["# heat,T,degC,2.5", *rows]) + "\n")
    return runs


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The page's module, on the path; what it registers is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "heat_format.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    yield folder
    sys.modules.pop("heat_format", None)


def install(folder: Path, points: str = POINT) -> None:
    """The metadata of an installed package with these entry points."""
    info = folder / "heat_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heat-format\nVersion: 1.0\n")
    lines = points.replace('[project.entry-points."ups_data.sources"]', "[ups_data.sources]").replace('"', "")
    (info / "entry_points.txt").write_text(lines)


def check(out: Path, runs: dict[str, np.ndarray]) -> None:
    """Every value of every run is in the batches, under its name and units."""
    manifest = Manifest.load(out)
    assert (manifest.source["format"], manifest.field("T").units) == ("heat", "degC")
    loader = QueryLoader(str(out), split="train", batch_size=1, sampling=QuerySampling(ratio=1.0), horizon=0, threads=0)
    seen = sorted(batch.inputs.fields["T"][0, :, 0].numpy().tobytes() for batch in loader)
    assert seen == sorted(frame.tobytes() for run in runs.values() for frame in run)


def test_the_pages_code_as_it_stands(tmp_path, module, monkeypatch):
    """Registered by an import, with two workers that import it too."""
    runs = write_runs(tmp_path / "runs")
    script = tmp_path / "use.py"
    script.write_text(USE.replace("workers=2", "workers=2, shard_bytes=1"))
    env = {"PYTHONPATH": f"{module}:{Path(__file__).parents[2]}", "PATH": ""}
    warm.run([script], cwd=tmp_path, env=env, check=True)
    check(tmp_path / "data/heat", runs)


@pytest.mark.parametrize("options", [(), ("--format", "heat")])
def test_an_installed_package_offers_its_format_to_the_tools(tmp_path, module, options):
    runs = write_runs(tmp_path / "runs")
    install(module)
    root = Path(__file__).parents[2]
    command = [root / "tools/make_shards.py", "runs", "--out", "out", "--split", "train=1", *options]
    env = {"PYTHONPATH": f"{module}:{root}", "PATH": ""}
    warm.run(command, cwd=tmp_path, env=env, check=True)
    check(tmp_path / "out", runs)


def test_entry_points_are_left_alone_while_a_built_in_format_recognises_a_file(tmp_path, module):
    install(module, POINT + 'broken = "no_such_module:Thing"\n')
    files.write_npy(tmp_path / "a.npy", files.values(2, 3, 4, 1))
    assert open_source(tmp_path / "a.npy").format == "npy"
    assert "heat_format" not in sys.modules


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            'broken = "no_such_module:Thing"\n',
            r"'broken' of the package heat-format.*No module named.*repair or remove",
        ),
        ('other = "heat_format:HeatSource"\n', r"'other' of the package heat-format.*calls itself 'heat'"),
        ('np = "numpy:float32"\n', r"'np' of the package heat-format.*no class that derives from"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(tmp_path, module, points, message):
    install(module, "[ups_data.sources]\n" + points)
    (tmp_path / "a").write_text("hello")
    with pytest.raises(UpsDataError, match=message) as caught:
        open_source(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_unknown_formats_are_told_the_installed_ones_too(tmp_path, module):
    install(module)
    with pytest.raises(UpsDataError, match=r"'heet': choose one of .*npz.*heat"):
        open_source(tmp_path, "heet")


def test_a_folder_can_be_one_source(tmp_path, module):
    @register_source
    class Solver(Source):
        format = "solver"

        @staticmethod
        def recognises(content: Content) -> bool:
            return content.kind == "folder" and "system" in content.keys

        def __len__(self):
            return 7

        def __getitem__(self, number):
            raise NotImplementedError

    (tmp_path / "case/system").mkdir(parents=True)
    (tmp_path / "case/a.npy").write_bytes(b"")
    assert len(open_source(tmp_path / "case")) == 7
    assert open_source(tmp_path / "case").splits() == [None] * 7


def test_what_workers_cannot_import_is_refused_before_they_start(tmp_path, module):
    import heat_format

    write_runs(tmp_path / "runs")

    @register_source
    class Local(heat_format.HeatSource):
        format = "local"

    with pytest.raises(UpsDataError, match="'local'.*workers cannot import.*put its class into a module"):
        convert(tmp_path / "runs", tmp_path / "out", split={"train": 1.0}, workers=2, shard_bytes=1)


def test_names_of_formats_are_unique(module):
    class Mine(Source):
        format = "npz"

        def __len__(self):
            return 0

        def __getitem__(self, number):
            raise NotImplementedError

    with pytest.raises(UpsDataError, match="the format 'npz' is .*NpzSource: name yours apart"):
        register_source(Mine)


def test_every_built_in_source_derives_from_the_same_class():
    assert all(issubclass(source, Source) for source in FORMATS.values())
