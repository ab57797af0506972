"""Names that become parts of files, of attributes and of calls: of exports, of merged datasets, of a model's target."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import write_grid
from tests.faults.hostile.around import Around
from tests.training.runs import config
from ups_data import ShardWriter, UpsDataError
from ups_data.exporting import export_dataset
from ups_data.schema import Manifest
from ups_data.training.targets import model_of
from ups_data.writing.joining.merge import merge


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exports") / "d"
    write_grid(root, grid=(6, 6), steps=(3, 3))
    return root


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "a\\b", "a\nb", "\x1b[1m", "x" * 300])
def test_a_name_that_is_a_path(around: Around, dataset: Path, name: str) -> None:
    """It becomes a part of the files' names: nothing is made beside the export's folder, or left of it."""
    around.watch()
    with pytest.raises(UpsDataError, match="name"):
        export_dataset(dataset, around.out, "the_well", name=name)
    assert around.changes() == []
    assert not around.out.exists()


@pytest.mark.parametrize("name", ["CLASS", "NAME", "_NCProperties", "_Netcdf4Dimid", "DIMENSION_LIST"])
def test_parameters_of_names_that_netcdf_has_for_itself(tmp_path: Path, name: str) -> None:
    h5netcdf = pytest.importorskip("h5netcdf")
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": np.ones((3, 4, 4, 1), np.float32)}, params={name: 0.5})
    export_dataset(tmp_path / "d", tmp_path / "out", "netcdf")
    with h5netcdf.File(tmp_path / "out/train/000000.nc", "r") as file:
        assert file.variables[name][()] == 0.5


def test_a_link_that_leads_around(tmp_path: Path, dataset: Path) -> None:
    """An error of the file system, which commands show in one line, as elsewhere."""
    (tmp_path / "loop").symlink_to("loop")
    for use in (
        lambda: merge(dataset, dataset, tmp_path / "loop"),
        lambda: export_dataset(dataset, tmp_path / "loop", "netcdf"),
    ):
        with pytest.raises((UpsDataError, OSError)):
            use()


@pytest.mark.parametrize("target", ["os:getcwd", "json:dumps", "builtins:print", "math:pi", "os.path:nothing", "no:x"])
def test_targets_that_are_no_models(tmp_path: Path, dataset: Path, target: str) -> None:
    settings = config(dataset, tmp_path / "out")
    settings.model.target = target
    settings.model.options = {}
    with pytest.raises(UpsDataError, match="model.target") as error:
        model_of(settings, Manifest.load(dataset))
    assert "\n" not in str(error.value)
