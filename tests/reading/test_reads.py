"""Reads are data: what a block reads is listed before, and gathering its batch reads nothing."""

import numpy as np
import pytest
import torch

from tests.datasets import fields
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter
from ups_data import _native as module
from ups_data.batch import collate_block, draw, gather, wanted
from ups_data.store.arrays.direct import DirectArray
from ups_data.trajectory import PointSet

STEPS = 6
FEW = QuerySampling(ratio=0.2, mode="blocks")
EVEN = QuerySampling(ratio=0.2, mode="stratified")
TILES = QuerySampling(ratio=0.2, mode="importance", importance_metric="variance")
SETS = {"surface": QuerySampling(num_queries=9, mode="blocks"), "volume": QuerySampling(num_queries=20)}
# dataset → options of the loader
CASES = {
    "grid, stratified": ("grid", {"sampling": EVEN}),
    "grid, every point": ("grid", {"sampling": QuerySampling()}),
    "grid, lattice queries": ("grid", {"sampling": EVEN, "lattice_queries": True, "horizon": 2}),
    "grid, input steps": ("grid", {"sampling": EVEN, "input_steps": 2, "horizon": 2}),
    "grid, off grid": ("grid", {"sampling": QuerySampling(ratio=0.2, off_grid=True)}),
    "grid, importance": ("grid", {"sampling": TILES, "horizon": 2}),
    "grid, input stride": ("grid", {"sampling": EVEN, "input_stride": 2, "input_queries": False}),
    "blocks": ("blocks", {"sampling": FEW}),
    "blocks, horizon": ("blocks", {"sampling": FEW, "horizon": 3, "input_queries": False}),
    "blocks, inputs": ("blocks", {"sampling": FEW, "inputs": QuerySampling(ratio=0.4, mode="blocks")}),
    "blocks, stratified": ("blocks", {"sampling": EVEN}),
    "blocks, off grid": ("blocks", {"sampling": QuerySampling(ratio=0.2, off_grid=True)}),
    "blocks, input stride": ("blocks", {"sampling": FEW, "input_stride": 2, "input_queries": False}),
    "blocks, importance": ("blocks", {"sampling": TILES, "inputs": FEW}),
    "blocks, small pool": ("blocks", {"sampling": FEW, "pool_bytes": 3000, "horizon": 2, "input_queries": False}),
    "cloud, uniform": ("cloud", {"sampling": QuerySampling(ratio=0.2)}),
    "cloud, stratified": ("cloud", {"sampling": EVEN, "inputs": EVEN}),
    "cloud, padded": ("cloud", {"sampling": EVEN, "ragged": "pad"}),
    "cloud, blocks": ("cloud", {"sampling": FEW, "inputs": FEW}),
    "cloud, blocks, dense": ("cloud", {"sampling": FEW}),
    "cloud, blocks, small pool": ("cloud", {"sampling": FEW, "inputs": FEW, "pool_bytes": 3000, "horizon": 2}),
    "blocks, random order": ("blocks", {"sampling": QuerySampling(ratio=0.2, mode="blocks", order="random")}),
    "cloud, random order": (
        "cloud",
        {"sampling": QuerySampling(num_queries=40, mode="blocks", order="random"), "inputs": FEW},
    ),
    "cloud, importance": ("cloud", {"sampling": TILES}),
    "moving": ("moving", {"sampling": EVEN, "horizon": 2}),
    "moving, blocks": ("moving", {"sampling": FEW, "inputs": FEW}),
    "sets": ("sets", {"sampling": SETS}),
    "sets, inputs": ("sets", {"sampling": SETS, "inputs": SETS, "horizon": 2}),
}


def write(root, name, codec):
    rng = np.random.default_rng(0)
    options = {"grid": {"importance": ["variance"]}, "sets": {"blocks": 4}}
    others = {"blocks": 16 if name == "blocks" else 8, "importance": [] if name == "moving" else ["variance"]}
    with ShardWriter(root, codec=codec, shard_bytes=4000, **options.get(name, others)) as writer:
        for run, points in enumerate((160, 210, 160)):
            if name in ("grid", "blocks"):
                k = fields(10 + run, 1, (12, 16), 1)[0]
                writer.add({"u": fields(run, STEPS, (12, 16))}, static={"k": k})
            elif name == "sets":
                sets = {}
                for of_set, field, count in (("surface", "p", points // 2), ("volume", "u", points)):
                    coords = rng.random((count, 3)).astype(np.float32)
                    sets[of_set] = PointSet(coords=coords, fields={field: fields(count, STEPS, (count,))})
                writer.add(sets=sets)
            else:
                shape = (STEPS, points, 3) if name == "moving" else (points, 3)
                writer.add({"u": fields(run, STEPS, (points,))}, coords=rng.random(shape).astype(np.float32))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Datasets by name and codec, made as they are asked for; a chunk is one block of one frame."""
    made = {}

    def dataset(name, codec):
        if (name, codec) not in made:
            root = tmp_path_factory.mktemp("reads") / "d"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("ups_data.writing.chunks.rows_of_block_chunk.__defaults__", (1,))
                write(root, name, codec)
            made[name, codec] = root
        return made[name, codec]

    return dataset


@pytest.fixture
def seen(monkeypatch):
    """The chunks that are read, by whomever: (array, number)."""
    chunks = set()
    plain = DirectArray.stored

    def stored(array, numbers):
        chunks.update((array, number) for number in numbers.tolist())
        return plain(array, numbers)

    monkeypatch.setattr(DirectArray, "stored", stored)
    return chunks


def listed(reads):
    return {(array, number) for array, numbers in reads.chunks() for number in numbers.tolist()}


def tensors(batch):
    found = []
    batch.for_each_tensor(found.append)
    return found


WAYS = [(case, stored) for case in CASES for stored in ("none", "lz4", "numpy")]
WAYS += [(case, "numpy, lz4") for case in CASES if "small pool" in case or "order" in case]


@pytest.mark.parametrize(("case", "stored"), WAYS)
def test_a_block_reads_what_it_lists_and_gathering_reads_nothing(datasets, seen, monkeypatch, case, stored):
    name, options = CASES[case]
    root = datasets(name, "lz4" if "lz4" in stored else "none")
    options = {"split": "train", "batch_size": 6, "drop_last": False, **options}  # of several shards, shuffled
    expected = next(iter(QueryLoader(root, **options, threads=0)))
    if "numpy" in stored:
        monkeypatch.setattr(module, "native", None)
    source = QueryDataset(root, **options).source
    plan, batches = source.plan(0), []
    for reader in source.readers:
        reader.request(plan[0], 0)  # a grid's stored order is read as it is opened
        seen.clear()
        request = reader.request(plan[0], 0)
        assert not seen
        block = reader.block_of(request, reader.pool.fetch(request.wanted))
        assert seen == listed(request.wanted)
        draws = draw(block)
        reads = wanted(block, draws)
        assert seen == listed(request.wanted)
        fetched = reader.pool.fetch(reads)
        assert seen == listed(request.wanted) | listed(reads)
        seen.clear()
        batches.append(gather(block, draws, fetched))
        assert not seen
    others = [expected.others[reader.set_name] for reader in source.readers[1:]]
    for batch, same in zip(batches, [expected, *others], strict=True):
        same = tensors(same)[: len(tensors(batch))]  # without those of other sets
        assert all(torch.equal(a, b) for a, b in zip(tensors(batch), same, strict=True))


def test_what_draws_look_at_is_listed_until_it_is_known(datasets):
    """Positions and stored order of clouds once; the importance of each frame's tiles every time."""
    for name, sampling, again in (("cloud", EVEN, 0), ("cloud", FEW, 0), ("grid", TILES, 1), ("cloud", TILES, 1)):
        options = {"split": "train", "batch_size": 2, "shuffle": False, "sampling": sampling}
        source = QueryDataset(datasets(name, "none"), **options).source
        reader, numbers = source.readers[0], source.plan(0)[0]
        first = reader.request(numbers, 0)
        assert listed(first.wanted)
        reader.block_of(first, reader.pool.fetch(first.wanted))
        assert len({array for array, _ in listed(reader.request(numbers, 0).wanted)}) == again


def test_draws_of_blocks_need_no_geometry_and_list_the_blocks_drawn(datasets):
    """Chunk numbers of a row's blocks are row × blocks + block: of values, positions and the numbers of the points."""
    source = QueryDataset(datasets("cloud", "lz4"), split="train", batch_size=3, sampling=FEW, inputs=FEW).source
    reader = source.readers[0]
    request = reader.request(source.plan(0)[0], 0)
    assert not request.wanted.reads
    block = reader.block_of(request, reader.pool.fetch(request.wanted))
    draws = draw(block)
    by_stream = {s: [c.read for c in copies] for s, copies in wanted(block, draws).sets.items()}
    for stream, reads in by_stream.items():
        drawn = draws[stream].blocks
        assert len(reads) == 2 if stream.name == "INPUTS" else 3
        for read in reads:
            assert sum(len(numbers) for _, numbers in read.chunks) == (drawn >= 0).sum()
            found = np.concatenate([numbers % array.blocks for array, numbers in read.chunks])
            assert sorted(found) == sorted(drawn[drawn >= 0])


def test_dense_frames_list_every_chunk_of_their_rows(datasets):
    source = QueryDataset(datasets("blocks", "none"), split="train", batch_size=1, sampling=FEW, shuffle=False).source
    reader = source.readers[0]
    block = reader.block([2], 0)
    copies = wanted(block, draw(block)).sets
    (inputs,) = [c.values["u"].read for s, c in copies.items() if s.name == "INPUTS"]
    ((array, numbers),) = inputs.chunks
    assert array.blocks == 16
    np.testing.assert_array_equal(numbers, 2 * 16 + np.arange(16))
    (targets,) = [c.values["u"].read for s, c in copies.items() if s.name == "TARGET_QUERIES"]
    assert {n // 16 for _, numbers in targets.chunks for n in numbers.tolist()} == {3}
    assert sum(len(numbers) for _, numbers in targets.chunks) == 4  # of 38 points, 12 to a block


def test_a_chunk_that_several_reads_share_is_listed_once(datasets):
    source = QueryDataset(datasets("grid", "lz4"), split="train", batch_size=8, sampling=EVEN, shuffle=False).source
    block = source.readers[0].block(source.plan(0)[0], 0)
    chunks = wanted(block, draw(block)).chunks()
    assert len({id(array) for array, _ in chunks}) == len(chunks)
    assert all((np.diff(numbers) > 0).all() for _, numbers in chunks)


@pytest.mark.parametrize("case", ["blocks", "blocks, small pool", "cloud, blocks, small pool"])
def test_samples_of_several_shards_may_come_in_any_order(datasets, case):
    """A batch's are sorted, but for those that take the places of damaged ones."""
    name, options = CASES[case]
    source = QueryDataset(datasets(name, "lz4"), split="train", batch_size=6, **{"inputs": FEW, **options}).source
    reader, numbers = source.readers[0], source.plan(0)[0]
    assert len(set(source.table.shard[numbers].tolist())) > 1
    order = np.random.default_rng(0).permutation(len(numbers))
    one, other = (collate_block(reader.block(n, 0)) for n in (numbers, numbers[order]))
    for a, b in zip(tensors(one), tensors(other), strict=True):
        assert torch.equal(a[torch.from_numpy(order)] if len(a) == len(numbers) else a, b)
