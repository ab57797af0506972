"""The Well's own reader gives what ours does, on files in its layout."""

import numpy as np
import pytest

from tests.sources.well_files import FRAMES, GRID, write_well
from ups_data.sources import open_source

pytestmark = pytest.mark.clients
pytest.importorskip("the_well", reason="pip install the_well")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_equal_to_the_wells_own_reader(tmp_path):
    from the_well.data import WellDataset

    for number, count in enumerate((2, 3)):
        write_well(tmp_path / f"made/data/train/{number}.hdf5", count=count, seed=31 * number, keep_axes=True)
    theirs = WellDataset(path=str(tmp_path / "made/data/train"), full_trajectory_mode=True, normalize_time_grid=False)
    ours = open_source(tmp_path / "made/data/train")
    assert len(theirs) == len(ours) == 5
    names, meta = theirs.core_field_names, theirs.metadata
    for number, t in enumerate(ours):
        sample = theirs[number]
        frames = np.concatenate([sample["input_fields"], sample["output_fields"]])
        np.testing.assert_array_equal(np.concatenate([t.fields[n][:] for n in names], axis=-1), frames)
        constant = np.concatenate([t.static[n][:] for n in theirs.core_constant_field_names], axis=-1)
        np.testing.assert_array_equal(constant, sample["constant_fields"])
        scalars = np.concatenate([sample["input_scalars"], sample["output_scalars"]])
        for place, name in enumerate(meta.scalar_names):
            np.testing.assert_array_equal(t.fields[name][:, 2, 3, 0], scalars[:, place])
        assert [np.float32(t.params[n]) for n in meta.constant_scalar_names] == sample["constant_scalars"].tolist()
        grid = np.stack(np.meshgrid(*(a.coordinates for a in t.axes), indexing="ij"), -1)
        np.testing.assert_array_equal(grid, sample["space_grid"])
        times = np.concatenate([sample["input_time_grid"], sample["output_time_grid"]])
        np.testing.assert_array_equal(t.time, times)
        codes = [{0: False, 1: False, 2: True}[int(pair[0])] for pair in sample["boundary_conditions"]]
        assert [a.periodic for a in t.axes] == codes
    assert frames.shape == (FRAMES, *GRID, len(meta.field_names[0]) + 2 + 4)
