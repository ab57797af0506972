"""The native module draws the very numbers that numpy draws."""

import numpy as np
import pytest
from numcodecs.blosc import Blosc

from tests.sampling.cases import grid
from ups_data import _native as module
from ups_data.hashing import hash_key
from ups_data.points.blocks import BlockSizes, grid_blocks
from ups_data.points.domain import Domain
from ups_data.sampling.modes.blocks import draw_blocks
from ups_data.sampling.modes.stratified import draw_stratified
from ups_data.sampling.random import random_bits, random_integers

KEYS = hash_key(7, np.arange(5))


@pytest.fixture
def both(monkeypatch):
    """Calls something natively and with numpy."""
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")

    def call(function, *args, **options):
        natively = function(*args, **options)
        with monkeypatch.context() as patch:
            patch.setattr(module, "native", None)
            return natively, function(*args, **options)

    return call


@pytest.mark.parametrize("counter", [0, 1, 10**12])
def test_bits(both, counter):
    natively, plainly = both(random_bits, KEYS, 1001, counter)
    np.testing.assert_array_equal(natively, plainly)
    assert len(np.unique(natively)) == natively.size


@pytest.mark.parametrize("bound", [1, 10, 16_384, 2**31 - 1, np.arange(1, 1002), np.array([9])])
def test_integers(both, bound):
    natively, plainly = both(random_integers, KEYS, 1001, bound, counter0=3)
    np.testing.assert_array_equal(natively, plainly)
    assert (natively >= 0).all()
    assert (natively < bound).all()


def test_keys_that_are_a_part_of_an_array(both):
    np.testing.assert_array_equal(*both(random_bits, KEYS[::2], 9))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("shape", "blocks"), [((64,), 64), ((48, 32), 16), ((12, 12, 12), 27), ((30,), 1)])
def test_draws_of_full_blocks(both, shape, blocks, known):
    dealt = grid_blocks(shape, blocks, seed=3)
    domain = Domain(dealt.num_points, blocks=dealt if known else BlockSizes(dealt.counts, dealt.block_points))
    keys = hash_key(9, np.arange(300))
    for count in {1, dealt.block_points - 1, dealt.block_points, 3 * dealt.block_points + 1, 4 * dealt.block_points}:
        if not 1 <= count < dealt.num_points:
            continue
        natively, plainly = both(draw_blocks, domain, keys, count)
        for name in ("index", "blocks", "slots"):
            np.testing.assert_array_equal(getattr(natively, name), getattr(plainly, name))
        assert natively.whole_blocks == plainly.whole_blocks
        assert len(np.unique(natively.blocks)) > blocks // 2


@pytest.mark.parametrize(
    ("shape", "count"),
    [((64, 64), 256), ((32, 48), 96), ((97,), 9), ((12, 10), 7), ((30,), 29), ((30,), 30), ((30,), 1)],
)
def test_stratified_draws(both, shape, count):
    """Of segments that are equal, and of segments that differ by a point and are shifted around the curve."""
    natively, plainly = both(draw_stratified, grid(*shape), hash_key(9, np.arange(300)), count)
    np.testing.assert_array_equal(natively.index, plainly.index)


def test_blocks_that_do_not_fit_are_refused():
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    blocks, index = np.empty((5, 2), np.int64), np.empty((5, 12), np.int64)
    held = np.zeros((9, 8), np.int32)
    for total, of, drawn in ((3, held, index), (9, held[:8], index), (9, held, index[:, :8]), (9, held, index[:4])):
        with pytest.raises(ValueError, match="draws of"):
            module.native.fill_blocks(KEYS, 8, of, total, blocks, None, np.ascontiguousarray(drawn))


def test_numbers_that_do_not_fit_are_refused():
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    with pytest.raises(ValueError, match="bounds"):
        module.native.fill_integers(KEYS, 0, 4, np.ones(3, np.uint64), np.empty((5, 4), np.uint64))
    with pytest.raises(ValueError, match="rows"):
        module.native.fill_bits(KEYS, 0, np.empty((4, 4), np.uint64))


def numbers(kind, dtype, size):
    rng = np.random.default_rng(0)
    plain = {"noise": rng.standard_normal(size), "smooth": np.sin(np.arange(size) / 50), "zeros": np.zeros(size)}
    return plain[kind].astype(dtype)


def decoded(stored, out, past=False):
    """Whether one chunk was decoded into the bytes `out`."""
    zero = np.zeros(1, np.int64)
    length = np.array([len(stored)])
    return module.native.decode_lz4([stored], zero, zero, length, [out], zero, zero, out.nbytes, past) == 1


@pytest.mark.parametrize("kind", ["noise", "smooth", "zeros"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("size", [1, 3, 1000, 16_384, 70_001, 300_000])
@pytest.mark.parametrize("blocksize", [0, 4096])
def test_lz4_decodes_what_blosc_encodes(kind, dtype, size, blocksize):
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    chunk = numbers(kind, dtype, size)
    for level in (1, 9):
        stored = Blosc("lz4", level, Blosc.SHUFFLE, blocksize).encode(chunk)
        out = np.empty_like(chunk)
        for past in (False, True):
            out[:] = 1
            assert decoded(stored, out.view(np.uint8), past)
            np.testing.assert_array_equal(out, chunk)


def test_other_chunks_are_left_to_blosc():
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    chunk, out = numbers("smooth", "float32", 5000), np.empty(20_000, np.uint8)
    for codec in (Blosc("zstd", 5, Blosc.SHUFFLE), Blosc("lz4", 5, Blosc.BITSHUFFLE)):
        assert not decoded(codec.encode(chunk), out)
    stored = Blosc("lz4", 5, Blosc.SHUFFLE).encode(chunk)
    assert not decoded(stored, out[:-4])
    assert not decoded(stored[:-1], out)
    assert not decoded(b"", out)


def test_damaged_chunks_touch_no_other_memory():
    """Whatever the bytes: an answer, and nothing written outside (memory around the destination is compared)."""
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    rng = np.random.default_rng(0)
    stored = [
        Blosc("lz4", 5, Blosc.SHUFFLE, b).encode(numbers(k, "float32", 5000))
        for b in (0, 4096)
        for k in ("smooth", "noise")
    ]
    around = np.full(40_000, 7, np.uint8)
    for number in range(4000):
        damaged = bytearray(stored[number % len(stored)])
        for place in rng.integers(8 if number % 2 else 16, len(damaged), 3):
            damaged[place] = rng.integers(256)
        decoded(bytes(damaged), around[10_000:30_000])
        assert (around[:10_000] == 7).all()
        assert (around[30_000:] == 7).all()


def test_many_chunks_at_once():
    """From several buffers into places of several others; the first that is no chunk of lz4 is named."""
    if module.native is None:
        pytest.skip("the native module was not built: no C compiler at installation")
    codec, chunks = Blosc("lz4", 5, Blosc.SHUFFLE), [numbers("smooth", "float32", 1000) + i for i in range(6)]
    stored = [codec.encode(c) for c in chunks]
    files = [b"".join(stored[:4]), b"xyz" + b"".join(stored[4:])]
    lengths = np.array([len(s) for s in stored])
    offset = np.concatenate([np.cumsum([0, *lengths[:3]]), np.cumsum([3, *lengths[4:5]])])
    buffer, out, place = np.array([0, 0, 0, 0, 1, 1]), np.array([1, 0, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 2, 2]) * 4000
    memory = [np.zeros(12_000, np.uint8), np.zeros(12_004, np.uint8)]
    assert module.native.decode_lz4(files, buffer, offset, lengths, memory, out, place, 4000) == 6
    for chunk, number, at in zip(chunks, out, place, strict=True):
        np.testing.assert_array_equal(memory[number][at : at + 4000].view(np.float32), chunk)
    offset[1] += 1
    assert module.native.decode_lz4(files, buffer, offset, lengths, memory, out, place, 4000) == 1
    for wrong in (np.full(6, 9), np.full(6, -1)):
        with pytest.raises(IndexError, match="chunk 0"):
            module.native.decode_lz4(files, wrong, offset, lengths, memory, out, place, 4000)
        with pytest.raises(IndexError, match="chunk 0"):
            module.native.decode_lz4(files, buffer, offset, lengths, memory, out, place + 12_000 * wrong, 4000)
