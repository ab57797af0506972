"""Blocks in `make_shards.py` and `inspect_shards.py`, run as a user runs them."""

import pytest

from tests.cli.test_tools import ok, refused
from tests.datasets import CAR_PT, real
from tests.sources.files import write_groups
from ups_data.schema import Manifest


def test_blocks_of_a_grid(tmp_path):
    write_groups(tmp_path / "f.h5")
    out = ok("make_shards.py", tmp_path / "f.h5", "--out", tmp_path / "d", "--blocks", 4, "--ratio", 0.2)
    manifest = Manifest.load(tmp_path / "d")
    assert manifest.blocks == 4
    assert f"4 blocks of {manifest.block_points()} points" in out
    assert "at ratio 0.2" in out
    shown = ok("inspect_shards.py", tmp_path / "d", "--plot", tmp_path / "picture.png", "--ratio", 0.3)
    assert f"4 blocks of {manifest.block_points()} points" in shown
    assert "picture-block.png" in shown
    assert (tmp_path / "picture-block.png").read_bytes().startswith(b"\x89PNG")


def test_blocks_of_a_cloud(tmp_path):
    ok("make_shards.py", real(CAR_PT), "--out", tmp_path / "d", "--blocks", 16)
    shown = ok("inspect_shards.py", tmp_path / "d", "--plot", tmp_path / "picture.png")
    assert "3,586 points in 3 dimensions, in blocks of 225" in shown
    assert (tmp_path / "picture-block.png").stat().st_size > 5000


def test_suggestion_writes_nothing(tmp_path):
    write_groups(tmp_path / "f.h5")
    out = ok("make_shards.py", tmp_path / "f.h5", "--suggest", "--ratio", 0.1)
    assert "suggested: --blocks " in out
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


def test_weights(tmp_path):
    write_groups(tmp_path / "f.h5")
    out = ok("make_shards.py", tmp_path / "f.h5", "--weigh", "4,9")
    assert all(codec in out for codec in ("none", "lz4", "zstd"))
    assert out.count("1.000") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--out", "d", "--blocks", 5], "give 4 or 9"),
        (["--weigh", "many"], "--weigh 'many': write it as 4,16"),
        ([], "--out is missing"),
    ],
)
def test_bad_options(tmp_path, options, says):
    write_groups(tmp_path / "f.h5")
    options = [tmp_path / "d" if o == "d" else o for o in options]
    assert says in refused("make_shards.py", tmp_path / "f.h5", *options)
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]
