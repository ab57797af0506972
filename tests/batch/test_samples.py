"""Samples of a pipeline: the same batches as a loader's, and samples that a stage of one's own has changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.datasets import fields
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, UpsDataError, query_collate
from ups_data.batch.samples import stack

STEPS = 6
EVEN = QuerySampling(ratio=0.3, mode="stratified")
FEW = QuerySampling(ratio=0.3, mode="blocks")
OPTIONS = {"split": "train", "batch_size": 4, "shuffle": False, "drop_last": False}


def write(root, *, cloud=False, **options):
    rng = np.random.default_rng(0)
    with ShardWriter(root, shard_bytes=4000, **options) as writer:
        for run, points in enumerate((60, 90, 75)):
            shape = (points,) if cloud else (8, 10)
            coords = rng.random((points, 2)).astype(np.float32) if cloud else None
            writer.add({"u": fields(run, STEPS, shape), "v": fields(9 + run, STEPS, shape, 1)}, coords=coords)
    return root


def batches(root, stage=None, **options):
    pipeline = QueryDataset(root, **{**OPTIONS, **options})
    if stage is not None:
        pipeline = pipeline.map(stage)
    return list(pipeline.batched(options.get("batch_size", 4), collation_fn=query_collate))


def assert_same(one, other):
    tensors, expected = [], []
    one.for_each_tensor(tensors.append)
    other.for_each_tensor(expected.append)
    assert len(tensors) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(tensors, expected, strict=True))


@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize(
    ("cloud", "blocks", "options"),
    [
        (False, 1, {"sampling": EVEN, "input_steps": 3, "horizon": 2}),
        (False, 4, {"sampling": FEW, "input_steps": 2, "dt_stride": 2}),
        (False, 4, {"sampling": QuerySampling(), "input_steps": 2}),
        (True, 1, {"sampling": EVEN}),
        (True, 1, {"sampling": EVEN, "input_steps": 2, "horizon": 2}),
        (True, 8, {"sampling": FEW, "ragged": "pad", "input_steps": 2}),
        (True, 8, {"sampling": FEW, "inputs": FEW, "horizon": 2}),
        (True, 8, {"sampling": EVEN, "ragged": "pad", "input_steps": 2}),
        (True, 8, {"sampling": QuerySampling(), "ragged": "pad"}),
    ],
)
def test_a_pipeline_makes_the_batches_of_a_loader(tmp_path, cloud, blocks, codec, options):
    """Frames of several steps and clouds of unequal size, whose samples are joined one by one."""
    root = write(tmp_path / "d", cloud=cloud, blocks=blocks, codec=codec)
    options = {**OPTIONS, **options, "drop_last": True}
    expected = list(QueryLoader(root, **options, threads=0))
    for one, other in zip(batches(root, **options), expected, strict=True):
        assert_same(one, other)


def test_parts_of_joined_frames_are_the_frames(tmp_path):
    """Every second frame, across the samples' borders; frames as they are indexed, singly and in slices."""
    root = write(tmp_path / "d", cloud=True, blocks=8)
    samples = list(QueryDataset(root, **OPTIONS, sampling=EVEN, input_steps=2))[:3]
    block = stack(samples)
    frames = block.inputs["u"]
    every = [f for sample in samples for f in sample.inputs["u"]]
    assert len(frames) == 6
    for start, stop, step in ((0, 6, 1), (1, 6, 2), (3, 5, 1)):
        part = frames[start:stop:step]
        assert len(part) == len(every[start:stop:step])
        for one, other in zip(part, every[start:stop:step], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(frames[-1], every[-1])
    with pytest.raises(IndexError):
        frames[6]


def doubled(sample):
    """What a stage may do: frames become arrays in memory."""
    inputs = {name: [2 * f for f in frames] for name, frames in sample.inputs.items()}
    return replace(sample, inputs=inputs, targets={name: [2 * f for f in fs] for name, fs in sample.targets.items()})


def some_doubled(sample):
    return doubled(sample) if sample.step % 2 else sample


@pytest.mark.parametrize("stage", [doubled, some_doubled])
@pytest.mark.parametrize(
    ("cloud", "blocks", "options"),
    [
        (False, 1, {"sampling": EVEN, "input_steps": 2, "horizon": 2}),
        (False, 4, {"sampling": FEW}),
        (False, 4, {"sampling": QuerySampling(), "inputs": FEW}),
        (False, 1, {"sampling": QuerySampling(ratio=0.3, off_grid=True)}),
        (False, 1, {"sampling": EVEN, "input_stride": 2, "input_queries": False}),
        (True, 1, {"sampling": EVEN}),
        (True, 8, {"sampling": FEW}),
        (True, 8, {"sampling": QuerySampling(), "ragged": "pad"}),
        (True, 8, {"sampling": EVEN, "inputs": EVEN, "ragged": "pad", "horizon": 2}),
    ],
)
def test_samples_that_a_stage_made(tmp_path, cloud, blocks, options, stage):
    """Their values are drawn at the same points, on clouds of unequal size too, and beside samples left as they are."""
    root = write(tmp_path / "d", cloud=cloud, blocks=blocks, codec="lz4")
    for one, plain in zip(batches(root, stage, **options), batches(root, **options), strict=True):
        factor = torch.where(plain.step % 2 == 1, 2.0, 1.0) if stage is some_doubled else torch.full((len(plain),), 2.0)
        for name, values in plain.inputs.fields.items():
            expected = values * factor.view(-1, *[1] * (values.dim() - 1))
            torch.testing.assert_close(one.inputs.fields[name], expected)
        for name, values in plain.target_queries.values.items():
            expected = values * factor.view(-1, *[1] * (values.dim() - 1))
            torch.testing.assert_close(one.target_queries.values[name], expected)
        assert torch.equal(one.target_queries.index, plain.target_queries.index)
        assert torch.equal(one.target_queries.coords, plain.target_queries.coords)


def test_arrays_that_are_no_frames_are_refused(tmp_path):
    root = write(tmp_path / "d")
    for change, message in (
        (lambda f: f.astype(np.float64), r"float64 \(80, 2\) of a frame of 'u': give float32 or float16 \(80, C\)"),
        (lambda f: f[:70], r"float32 \(70, 2\)"),
        (lambda f: f.reshape(8, 10, 2), r"float32 \(8, 10, 2\)"),
    ):
        with pytest.raises(UpsDataError, match=message):
            batches(root, lambda s, f=change: replace(s, inputs={"u": [f(x) for x in s.inputs["u"]]}), sampling=EVEN)

    def one_channel(sample):
        return replace(sample, targets={"u": [f[:, :1] for f in sample.targets["u"]]}) if sample.step else sample

    with pytest.raises(UpsDataError, match=r"'u' are float32 with 1 channels and float32 with 2 channels"):
        batches(root, one_channel, sampling=EVEN)


def test_frames_whose_blocks_are_not_known_have_no_order(tmp_path):
    """Nothing but blocks is drawn, so nobody reads which points they hold: a stage cannot, and arrays are not drawn."""
    root = write(tmp_path / "d", cloud=True, blocks=8)
    with pytest.raises(UpsDataError, match="cannot be put into order: draw in another mode, or leave inputs= out"):
        batches(root, doubled, sampling=FEW, inputs=FEW)

    def made_anew(sample):
        zeros = np.zeros((sample.domain.num_points, 1), np.float32)
        return replace(sample, targets={name: [zeros] for name in sample.targets})

    with pytest.raises(UpsDataError, match="cannot be queried by stored blocks alone"):
        batches(root, made_anew, sampling=FEW, inputs=FEW)


def test_options_of_a_pipeline_that_do_not_go_together(tmp_path):
    root = write(tmp_path / "d", cloud=True)
    with pytest.raises(UpsDataError, match="lattice_queries needs a grid, and this dataset has points"):
        QueryDataset(root, **OPTIONS, sampling=EVEN, lattice_queries=True)
    with pytest.raises(UpsDataError, match="input_steps is 2, give 1"):
        QueryDataset(root, **OPTIONS, sampling=EVEN, inputs=EVEN, input_steps=2)
