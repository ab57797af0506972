"""What a batch can do: split, go to a grid, print itself, tell its size."""

import numpy as np
import pytest
import torch

from tests.datasets import fields, write_grid
from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.batch import QuerySet
from ups_data.trajectory import PointSet

GRID = (12, 10)


def loader(root, sampling, **options):
    defaults = {"split": "train", "batch_size": 4, "sampling": sampling, "shuffle": False, "threads": 0}
    return QueryLoader(root, **{**defaults, **options})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("types") / "d"
    write_grid(root, grid=GRID, importance=["gradient"])
    return root


@pytest.mark.parametrize("horizon", [1, 2])
def test_a_set_splits_into_two(root, horizon):
    batch = next(iter(loader(root, QuerySampling(ratio=0.5, order="random"), horizon=horizon)))
    whole = batch.target_queries
    anchors, queries = whole.split(7)
    assert anchors.index.shape[-1] == 7
    for name in ("coords", "index", "weight"):
        parts = [getattr(anchors, name), getattr(queries, name)]
        assert torch.equal(torch.cat(parts, whole.index.dim() - 1), getattr(whole, name))
        assert parts[0].untyped_storage().data_ptr() == getattr(whole, name).untyped_storage().data_ptr()  # views
    assert torch.equal(torch.cat([anchors.values["u"], queries.values["u"]], -2), whole.values["u"])
    for points in (0, 60, -3):
        with pytest.raises(UpsDataError, match=f"split: {points} of at least 60 points .* give 1 to 59"):
            whole.split(points)


@pytest.mark.parametrize(
    "mode", ["uniform", "stratified", "importance", {"stratified": 0.6, "importance": 0.4}], ids=str
)
def test_the_weighted_mean_of_either_part_is_that_of_all_points(root, mode):
    """Over many epochs; within five standard errors, against a bias of the whole domain's halves."""
    source = loader(root, QuerySampling(ratio=0.2, mode=mode, order="random"), horizon=0, batch_size=8)
    ramp = torch.arange(120, dtype=torch.float64) ** 2 / 120  # differs from one end of the grid to the other
    means: list[list[torch.Tensor]] = [[], []]
    for epoch in range(12):
        source.set_epoch(epoch)
        for batch in source:
            for part, found in zip(batch.target_queries.split(5), means, strict=True):
                found.append((part.weight * ramp[part.index]).mean(-1))
    for found in means:
        values = torch.cat(found)
        error = values.std() / len(values) ** 0.5
        assert abs(values.mean() - ramp.mean()) < 5 * error
        assert error < 0.03 * ramp.mean()


def padded_rows(weight):
    """Three samples with 8, 5 and 3 points in rows of 8."""
    mask = torch.arange(8) < torch.tensor([8, 5, 3])[:, None]
    share = mask.sum(-1, keepdim=True) / 8
    index = torch.arange(8).expand(3, 8)
    coords, weight = torch.zeros(3, 8, 2), torch.where(mask, weight / share, 0.0)
    return QuerySet(coords, {}, index, weight, None, mask)


def test_parts_of_padded_rows_weigh_as_much_as_the_whole():
    whole = padded_rows(torch.ones(3, 8))
    first, others = whole.split(2)
    for part in (first, others):
        assert torch.allclose(part.weight.mean(-1), torch.ones(3))
        assert part.mask is not None
        assert not part.weight[~part.mask].any()
    assert others.mask.sum(-1).tolist() == [6, 3, 1]
    unequal = torch.rand(3, 8)
    first, others = padded_rows(unequal).split(2)
    torch.testing.assert_close(first.weight, unequal[:, :2])
    with pytest.raises(UpsDataError, match="split: 3 of at least 3 points of each sample: give 1 to 2"):
        whole.split(3)


def test_clouds_of_unequal_size_split(tmp_path):
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "d") as writer:
        for run, points in enumerate((40, 90, 60)):
            writer.add({"u": fields(run, 3, (points,))}, coords=rng.random((points, 2)).astype(np.float32))
    sampling = QuerySampling(ratio=0.5, order="random")
    batch = next(iter(loader(tmp_path / "d", sampling, ragged="pad", batch_size=6, horizon=1)))
    anchors, queries = batch.target_queries.split(10)
    assert anchors.mask.all()
    assert sorted(set(queries.mask.sum(-1).tolist())) == [10, 20, 35]
    for part in (anchors, queries):
        assert torch.allclose(part.weight.mean(-1), torch.ones(6))


def test_fields_on_their_grid(root):
    full, few = QuerySampling(), QuerySampling(ratio=0.25, mode="lattice")
    batch = next(iter(loader(root, full, horizon=2, input_steps=3)))
    frames = batch.inputs.fields["u"].reshape(4, 3, *GRID, 2)
    assert torch.equal(batch.to_grid("u"), frames.permute(0, 1, 4, 2, 3))
    target = batch.target_queries.values["u"].reshape(4, 2, *GRID, 2)
    assert torch.equal(batch.to_grid("u", of="target_queries"), target.permute(0, 1, 4, 2, 3))
    assert torch.equal(batch.to_grid("u", of="input_queries"), batch.to_grid("u")[:, -1])
    assert batch.to_grid("u").data_ptr() == batch.inputs.fields["u"].data_ptr()
    batch = next(iter(loader(root, few, input_fields=[])))
    lattice = batch.target_queries
    assert batch.to_grid("u").shape == (4, 2, *lattice.grid_shape)  # the input has no such field, the target has


def test_what_has_no_grid_says_so(root, tmp_path):
    batch = next(iter(loader(root, QuerySampling(ratio=0.1), input_queries=False)))
    with pytest.raises(UpsDataError, match="the points of this query set form no grid: take the dense input"):
        batch.to_grid("u", of="target_queries")
    with pytest.raises(UpsDataError, match=r"the encoder's input has no field 'w': choose one of \['u'\]"):
        batch.inputs.to_grid("w")
    with pytest.raises(UpsDataError, match="this batch has no 'input_queries'"):
        batch.to_grid("u", of="input_queries")
    with ShardWriter(tmp_path / "d") as writer:
        writer.add({"u": fields(0, 3, (50,))}, coords=fields(0, 1, (50,))[0])
    batch = next(iter(loader(tmp_path / "d", QuerySampling(ratio=0.1), batch_size=2)))
    with pytest.raises(UpsDataError, match="the points of the encoder's input form no grid"):
        batch.to_grid("u")


def test_a_batch_prints_as_shapes(root, tmp_path):
    batch = next(iter(loader(root, QuerySampling(ratio=0.1), horizon=2)))
    text = repr(batch)
    assert text.startswith("QueryBatch: 4 samples of epoch 0, horizon 2\n  inputs: 120 points on a grid of 12 × 10\n")
    assert "\n    fields['u']: (4, 120, 2) float32\n    coords: (1, 120, 2) float32\n" in text
    assert "\n    index: (4, 2, 12) int64\n" in text
    tensors = []
    batch.for_each_tensor(tensors.append)
    assert len(text.splitlines()) == 1 + len(tensors) + 3  # one for each tensor, and one for each set
    assert max(map(len, text.splitlines())) < 80
    assert "\n  time: (4) float32 on meta\n" in repr(batch.to("meta"))
    assert repr(batch.target_queries).startswith("QuerySet: 12 points\n  coords: (4, 2, 12, 2) float32\n")
    with ShardWriter(tmp_path / "d") as writer:
        sets = {
            n: PointSet(coords=fields(0, 1, (30,))[0], fields={n[0]: fields(1, 3, (30,))}) for n in ("surface", "wake")
        }
        writer.add(sets=sets)
    of_sets = {name: QuerySampling(ratio=0.5) for name in ("surface", "wake")}
    text = repr(next(iter(loader(tmp_path / "d", of_sets, batch_size=2))))
    assert text.startswith("QueryBatch: 2 samples of epoch 0, set 'surface'\n")
    assert (
        "\n  others['wake']: 2 samples of epoch 0\n    inputs: 30 points\n      fields['w']: (2, 30, 2) float32\n"
        in text
    )


def test_what_looks_for_the_size_of_a_batch_finds_its_samples(root):
    """Lightning takes a batch apart, tensor by tensor, and warns unless all have as many rows."""
    batch = next(iter(loader(root, QuerySampling(ratio=0.1))))
    assert {len(tensor) for tensor in batch} == {len(batch)} == {4}
    assert {len(tensor) for tensor in batch.part(1, 2)} == {1}


def test_lightning_finds_the_size_without_a_warning(root, recwarn):
    data = pytest.importorskip("lightning.pytorch.utilities.data", exc_type=ImportError)
    for batch in loader(root, QuerySampling(ratio=0.1), drop_last=False):
        assert data.extract_batch_size(batch) == len(batch)
    assert not [w for w in recwarn if "batch_size" in str(w.message)]


def test_input_queries_of_every_point_are_the_grid_s_beside_inputs_off_the_grid(tmp_path):
    """The encoder's own points may be as many as the grid's, and yet lie elsewhere."""
    runs = write_grid(tmp_path / "d", grid=GRID)
    batch = next(iter(loader(tmp_path / "d", QuerySampling(), inputs=QuerySampling(off_grid=True))))
    frames = [runs[t][s].reshape(120, 2) for t, s in zip(batch.trajectory.tolist(), batch.step.tolist(), strict=True)]
    assert np.array_equal(batch.input_queries.values["u"].numpy(), np.stack(frames))
    assert not np.array_equal(batch.inputs.fields["u"].numpy(), np.stack(frames))
