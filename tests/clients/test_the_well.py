"""The Well's own reader gives what ours does, on files in its layout."""

import numpy as np
import pytest
import yaml

from tests.sources.well_files import FRAMES, GRID, write_well
from ups_data import ShardWriter
from ups_data.exporting import export_dataset
from ups_data.sources import open_source
from ups_data.trajectory import Axis

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


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_wells_own_reader_reads_an_export(tmp_path):
    from the_well.data import WellDataset

    rng = np.random.default_rng(0)
    runs = [{"u": rng.random((4, 5, 6, 2)), "p": rng.random((4, 5, 6, 1))} for _ in range(3)]
    fixed = [rng.random((5, 6, 1)) for _ in runs]
    axes = [Axis("y", np.linspace(0, 1, 5)), Axis("x", np.linspace(0, 2, 6), None, True)]
    with ShardWriter(tmp_path / "d", cast="float32", blocks=4) as writer:
        for number, (fields, k) in enumerate(zip(runs, fixed, strict=True)):
            writer.add(fields, static={"k": k}, axes=axes, time=[0.0, 0.5, 1.0, 3.0], params={"nu": 0.5 * number})
    export_dataset(tmp_path / "d", tmp_path / "made", "the_well")
    options = {"full_trajectory_mode": True, "normalize_time_grid": False}
    theirs = WellDataset(path=str(tmp_path / "made"), well_split_name="train", **options)
    assert len(theirs) == 3
    for number, fields in enumerate(runs):
        sample = theirs[number]
        frames = np.concatenate([sample["input_fields"], sample["output_fields"]])
        ours = np.concatenate([fields[name] for name in theirs.core_field_names], axis=-1).astype(np.float32)
        np.testing.assert_array_equal(frames, ours)
        np.testing.assert_array_equal(sample["constant_fields"], fixed[number].astype(np.float32))
        assert sample["constant_scalars"].tolist() == [0.5 * number]
        times = np.concatenate([sample["input_time_grid"], sample["output_time_grid"]])
        np.testing.assert_array_equal(times, [0.0, 0.5, 1.0, 3.0])
        np.testing.assert_array_equal(sample["space_grid"][1, 2], [0.25, 0.8])
    assert sample["boundary_conditions"].tolist() == [[1, 1], [2, 2]]  # open, periodic
    statistics = yaml.safe_load((tmp_path / "made" / "stats.yaml").read_text())
    np.testing.assert_allclose(statistics["mean"]["u"], np.mean([f["u"] for f in runs], axis=(0, 1, 2, 3)), rtol=1e-5)
    from the_well.data.normalization import ZScoreNormalization

    normal = WellDataset(
        path=str(tmp_path / "made"), well_split_name="train", use_normalization=True,
        normalization_type=ZScoreNormalization, **options,
    )  # fmt: skip
    assert abs(float(normal[0]["input_fields"].mean())) < 1
