"""What blocks cost on disk, on real files."""

import pytest

from tests.datasets import BURGERS, CAR_PT, DIFFUSION_REACTION, real
from ups_data.conversion.weigh import weigh


def test_blocks_of_a_diffusion_reaction_run_weigh_little(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = list(weigh(real(DIFFUSION_REACTION), [16], codecs=["lz4"]))
    assert [(w.codec, w.blocks) for w in found] == [("lz4", 1), ("lz4", 16)]
    assert found[0].ratio == 1.0
    assert found[1].ratio == found[1].bytes / found[0].bytes
    assert 1.0 < found[1].ratio <= 1.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "most"),
    [
        (DIFFUSION_REACTION, {4: 1.15, 16: 1.15, 64: 1.15}),
        (CAR_PT, {4: 1.15, 8: 1.15, 16: 1.18}),  # blocks of 225 points: each chunk's 36 bytes and the index weigh
        # A line's neighbours in a block lie B cells apart, not one, which is what there is to compress.
        (BURGERS, {4: 1.26, 16: 1.34}),
    ],
)
def test_table(file, most):
    for weight in weigh(real(file), list(most), codecs=["lz4", "zstd"]):
        print(f"{file.name} {weight.codec} {weight.blocks}: {weight.bytes:,} bytes, {weight.ratio:.3f}")
        assert weight.ratio <= most.get(weight.blocks, 1.0)
