"""Bad input: one line, and nothing left behind."""

import numpy as np
import pytest

from tests.datasets import write_grid
from ups_data import ShardWriter, UpsDataError
from ups_data.schema import Manifest


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def refused(tmp_path, add, says, **options):
    root = tmp_path / "d"
    with pytest.raises(UpsDataError, match=says) as error, ShardWriter(root, **options) as writer:
        add(writer)
    assert "\n" not in str(error.value)
    assert not root.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite(tmp_path, value):
    u = ones(5, 4, 4, 1)
    u[3, 2, 2, 0] = value
    refused(
        tmp_path,
        lambda w: (w.add({"u": ones(5, 4, 4, 1)}, key="a"), w.add({"u": u}, key="b")),
        r"field 'u' of trajectory 'b' has 1 values that are NaN or Inf \(first in frame 3\).*--allow-nonfinite",
    )


def test_shapes_differ(tmp_path):
    refused(
        tmp_path,
        lambda w: (w.add({"u": ones(5, 4, 4, 1)}, key="a"), w.add({"u": ones(5, 4, 6, 1)}, key="b")),
        r"'u' of trajectory 'b' has shape \(4, 6, 1\), the first trajectory had \(4, 4, 1\)",
    )


def test_fields_differ(tmp_path):
    refused(
        tmp_path,
        lambda w: (w.add({"u": ones(5, 4, 4, 1)}), w.add({"v": ones(5, 4, 4, 1)}, key="b")),
        r"trajectory 'b' has the fields \['v'\], the first one had \['u'\]",
    )


def test_steps_of_fields_differ(tmp_path):
    refused(tmp_path, lambda w: w.add({"u": ones(5, 4, 4, 1), "v": ones(4, 4, 4, 1)}), "same number of steps")


def test_times_differ_from_steps(tmp_path):
    refused(tmp_path, lambda w: w.add({"u": ones(5, 4, 4, 1)}, time=np.arange(6)), "has 5 steps but 6 times")


def test_params_differ(tmp_path):
    refused(
        tmp_path,
        lambda w: (w.add({"u": ones(2, 4, 4, 1)}, params={"nu": 1}), w.add({"u": ones(2, 4, 4, 1)}, key="b")),
        r"trajectory 'b' has the parameters \[\], the first one had \['nu'\]",
    )


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64])
def test_wide_numbers_are_cast_only_when_asked(tmp_path, dtype):
    refused(tmp_path, lambda w: w.add({"u": ones(2, 4, 4, 1, dtype=dtype)}), f"'u'.*{np.dtype(dtype)}.*--cast float32")
    with ShardWriter(tmp_path / "d", cast="float32") as writer:
        writer.add({"u": ones(2, 4, 4, 1, dtype=dtype)})


def test_complex_is_refused_even_with_a_cast(tmp_path):
    refused(tmp_path, lambda w: w.add({"u": ones(2, 4, 4, 1, dtype=complex)}), "real channels", cast="float32")


@pytest.mark.parametrize(("cast", "dtype", "value"), [("float16", np.float32, 7e4), ("float32", np.float64, 1e39)])
def test_a_cast_that_overflows_names_field_and_value(tmp_path, cast, dtype, value):
    u = ones(2, 4, 4, 1, dtype=dtype)
    u[1, 0, 3, 0] = value
    says = rf"field 'u' of trajectory 'a': the value {value:g} overflows {cast}".replace("+", r"\+")
    refused(tmp_path, lambda w: w.add({"u": u}, key="a"), says, cast=cast)


def test_nothing_added(tmp_path):
    refused(tmp_path, lambda w: None, "no trajectory was added")


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    write_grid(tmp_path / "d")
    before = sorted(p.name for p in (tmp_path / "d").rglob("*"))
    with pytest.raises(UpsDataError, match="already holds a dataset"):
        ShardWriter(tmp_path / "d")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UpsDataError, match="not an empty folder"):
        ShardWriter(tmp_path / "other")
    assert sorted(p.name for p in (tmp_path / "d").rglob("*")) == before
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"


def test_an_empty_folder_that_was_there_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path, shard_bytes=100) as writer:
        for _ in range(3):
            writer.add({"u": ones(5, 4, 4, 1)})
        assert len(list((tmp_path / "train").iterdir())) == 3
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_unknown_options(tmp_path):
    with pytest.raises(UpsDataError, match="codec 'gzip': choose one of none, lz4, zstd"):
        ShardWriter(tmp_path / "d", codec="gzip")
    with pytest.raises(UpsDataError, match="blocks=0: give 1"):
        ShardWriter(tmp_path / "d", blocks=0)
    assert not (tmp_path / "d").exists()


def test_a_writer_whose_trajectory_failed_half_way_cannot_be_finished(tmp_path):
    u = ones(5, 4, 4, 1)
    bad = ones(5, 4, 4, 1)
    bad[3] = np.nan

    def add(writer):
        writer.add({"u": u, "v": u})
        with pytest.raises(UpsDataError, match="NaN"):
            writer.add({"u": u, "v": bad}, key="b")  # all of u is stored by now

    refused(tmp_path, add, "holds a part of trajectory 'b'")


def test_a_trajectory_that_is_refused_before_it_is_stored_may_be_left_out(tmp_path):
    with ShardWriter(tmp_path / "d") as writer:
        with pytest.raises(UpsDataError, match="NaN"):
            writer.add({"u": ones(5, 4, 4, 1) * np.nan}, key="a")
        writer.add({"u": ones(5, 4, 4, 1)}, key="b")
    assert Manifest.load(tmp_path / "d").splits["train"].num_trajectories == 1
