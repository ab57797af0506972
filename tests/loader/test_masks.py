"""Points that do not count, from the shards to the batch: never drawn, in no weight, masked beside dense inputs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ups_data import QueryLoader, QuerySampling, ShardWriter, UpsDataError
from ups_data.trajectory import PointSet

STEPS, SHAPE, RUNS = 4, (12, 16), 3
N = math.prod(SHAPE)
FILL = -5.0
MIXTURE = {"importance": 0.5, "stratified": 0.5}
MODES = ["uniform", "stratified", "lattice", "blocks", "importance", MIXTURE]


def counted(kind: str) -> np.ndarray:
    """`(runs, T, N)`: an obstacle that is the same for all runs, of another size in each, or that moves."""
    found = np.ones((RUNS, STEPS, *SHAPE), bool)
    for run in range(RUNS):
        for step in range(STEPS):
            row, height = {"same": (4, 5), "apart": (2, 4 + run), "moving": (2 + step, 3 + run)}[kind]
            found[run, step, row : row + height, 5:9] = False
    return found.reshape(RUNS, STEPS, N)


def values() -> np.ndarray:
    """`(runs, T, N)`, each value another one, and a mean that depends on where one looks."""
    return np.arange(RUNS * STEPS * N, dtype=np.float32).reshape(RUNS, STEPS, N) / 64 + 1


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    found = {}
    for kind in ("same", "apart", "moving"):
        root = found[kind] = tmp_path_factory.mktemp("masks") / kind
        u = np.where(counted(kind), values(), np.nan).reshape(RUNS, STEPS, *SHAPE, 1)
        options = {"mask_nan": True, "mask_fill": FILL, "importance": ["gradient"]}
        with ShardWriter(root, blocks=4, codec="lz4" if kind == "same" else "none", **options) as writer:
            for run in u:
                writer.add({"u": run})
    return found


def loader(root: Path, mode: object = "uniform", ratio: float = 0.3, **options: object) -> QueryLoader:
    drawing = {name: options.pop(name) for name in ("order", "off_grid", "shared") if name in options}
    sampling = QuerySampling(ratio=ratio, mode=mode, importance_metric="gradient", **drawing)
    given = {"batch_size": 3, "horizon": 1, "threads": 0, "drop_last": False, "ragged": "pad", **options}
    return QueryLoader(root, split="train", sampling=sampling, **given)


def check(queries, kind: str, trajectory: torch.Tensor, step: torch.Tensor) -> None:
    """The values of points that count, and weights whose mean is 1 or, of a lattice, about 1."""
    index, weight = queries.index.numpy(), queries.weight.numpy()
    there = counted(kind)[trajectory.numpy()[:, None], step.numpy()[:, None], index]
    used = weight > 0 if queries.mask is None else queries.mask.numpy()
    assert there[used].all()
    assert not weight[~used].any()
    if queries.values:
        expected = values()[trajectory.numpy()[:, None], step.numpy()[:, None], index]
        assert np.array_equal(queries.values["u"].numpy()[..., 0][used], expected[used])


@pytest.mark.parametrize("kind", ["same", "apart", "moving"])
@pytest.mark.parametrize("mode", MODES)
def test_only_points_that_count_are_drawn(roots, kind, mode):
    lattice = mode != "blocks"
    for batch in loader(roots[kind], mode, input_queries=True, lattice_queries=lattice):
        check(batch.target_queries, kind, batch.trajectory, batch.step + 1)
        check(batch.input_queries, kind, batch.trajectory, batch.step)
        if lattice:
            check(batch.lattice_queries, kind, batch.trajectory, batch.step)
        there = torch.from_numpy(counted(kind)[batch.trajectory.numpy(), batch.step.numpy()])
        assert torch.equal(batch.inputs.mask, there)
        assert (batch.inputs.fields["u"][~there] == FILL).all()
        assert (batch.inputs.fields["u"][there] != FILL).all()


@pytest.mark.parametrize("kind", ["same", "moving"])
@pytest.mark.parametrize("mode", MODES)
def test_the_weighted_mean_over_epochs_is_that_of_the_points_that_count(roots, kind, mode):
    means, loaded = [], loader(roots[kind], mode, 0.15, batch_size=9, repeats=20, input_queries=False, ragged="sample")
    true = np.where(counted(kind), values(), 0).sum(-1) / counted(kind).sum(-1)
    for epoch in range(4):
        loaded.set_epoch(epoch)
        for batch in loaded:
            queries, at = batch.target_queries, (batch.trajectory.numpy(), batch.step.numpy() + 1)
            means.append((queries.weight * queries.values["u"][..., 0]).mean(-1).numpy() - true[at])
    away = np.concatenate(means).astype(np.float64)
    assert abs(away.mean()) < 4 * away.std(ddof=1) / math.sqrt(len(away))


@pytest.mark.parametrize("mode", ["uniform", "blocks", "importance"])
@pytest.mark.parametrize("order", ["stored", "random"])
def test_ratio_1_is_every_point_that_counts(roots, mode, order):
    for batch in loader(roots["apart"], mode, 1.0, order=order, input_queries=False):
        queries = batch.target_queries
        for row, trajectory in enumerate(batch.trajectory.tolist()):
            used = slice(None) if queries.mask is None else queries.mask[row]
            found = np.sort(queries.index[row][used].numpy())
            assert np.array_equal(found, np.flatnonzero(counted("apart")[trajectory, 0]))
            share = queries.weight[row][used] * len(found) / queries.index.shape[1]
            assert torch.allclose(share, torch.ones(len(found)))


def test_blocks_alone_are_drawn_without_reading_their_order(roots):
    """No dense input: which points count is known by slots."""
    for kind in roots:
        inputs = QuerySampling(num_queries=20, mode="blocks")
        for batch in loader(roots[kind], "blocks", inputs=inputs, ragged="sample", input_queries=False):
            check(batch.target_queries, kind, batch.trajectory, batch.step + 1)
            assert (batch.inputs.fields["u"] != FILL).all()
            assert batch.inputs.mask is None


def test_inputs_of_several_steps(roots):
    """Masks that move come step by step, others once."""
    for kind, shape in (("moving", (3, 2, N)), ("same", (3, N))):
        batch = next(iter(loader(roots[kind], input_steps=2, horizon=2, shuffle=False, drop_last=True)))
        assert batch.inputs.mask.shape == shape
        steps = np.stack([batch.step.numpy() - 1, batch.step.numpy()], 1)
        there = torch.from_numpy(counted(kind)[batch.trajectory.numpy()[:, None], steps])
        assert torch.equal(batch.inputs.mask, there if kind == "moving" else there[:, 1])
        for k in range(2):
            queries = batch.target_queries
            assert counted(kind)[batch.trajectory.numpy()[:, None], batch.step.numpy()[:, None] + 1 + k][
                np.arange(3)[:, None], 0, queries.index[:, k].numpy()
            ][queries.weight[:, k].numpy() > 0].all()


def test_off_the_grid_no_hole_is_interpolated(roots):
    """And the mean is still that of the points that count."""
    away = []
    loaded = loader(roots["same"], "stratified", off_grid=True, batch_size=9, input_queries=False, repeats=40)
    for _ in range(2):
        for batch in loaded:
            found = batch.target_queries.values["u"][..., 0].numpy()
            of_frame = values()[batch.trajectory.numpy(), batch.step.numpy() + 1]
            assert (found >= of_frame.min(1, keepdims=True)).all()  # the hole holds less
            true = of_frame[:, counted("same")[0, 0]].mean(1)
            away.append((batch.target_queries.weight.numpy() * found).mean(1) - true)
    away = np.concatenate(away).astype(np.float64)
    assert abs(away.mean()) < 4 * away.std(ddof=1) / math.sqrt(len(away))


def test_strided_and_shared(roots):
    batch = next(iter(loader(roots["same"], shared=True, input_stride=2, input_queries=False, shuffle=False)))
    assert batch.inputs.mask.shape == (3, N // 4)
    assert torch.equal(batch.inputs.mask, batch.inputs.fields["u"][..., 0] != FILL)
    assert (batch.target_queries.index == batch.target_queries.index[:1]).all()  # runs have equal masks


def test_as_many_of_each_or_each_its_share(roots):
    least = counted("apart").sum(-1).min()
    batch = next(iter(loader(roots["apart"], ragged="sample")))
    assert batch.target_queries.mask is None
    assert batch.target_queries.index.shape[1] == round(0.3 * least)
    with pytest.raises(UpsDataError, match=f"of a frame's points there count {least} to .*ragged='pad'"):
        loader(roots["apart"], ratio=1.0, ragged="sample")


def test_clouds_of_several_sets(tmp_path):
    """Different numbers of points, of which different ones count, in blocks and not."""
    rng, there = np.random.default_rng(0), {}
    with ShardWriter(tmp_path / "d", blocks=4) as writer:
        for run, n in enumerate((60, 91)):
            there[run] = rng.random(n) > 0.3
            p = np.where(there[run], np.arange(n) + 1.0, 99.0).astype(np.float32)
            skin = PointSet(rng.random((n, 3)), {"p": np.repeat(p[None, :, None], 2, 0)}, mask=there[run])
            air = PointSet(rng.random((40, 3)), {"q": rng.random((2, 40, 1), np.float32)})
            writer.add(sets={"skin": skin, "air": air})
    for mode in ("uniform", "stratified", "blocks"):
        for inputs in (None, QuerySampling(num_queries=10, mode=mode)):
            few = QuerySampling(ratio=0.4, mode=mode)
            options = {
                "batch_size": 2,
                "horizon": 1,
                "threads": 0,
                "ragged": "pad",
                "inputs": inputs and {"skin": inputs},
            }
            sampling = {"skin": few, "air": few}
            for batch in QueryLoader(tmp_path / "d", split="train", sampling=sampling, **options):
                skin = batch["skin"]
                for row, run in enumerate(batch.trajectory.tolist()):
                    used = skin.target_queries.weight[row].numpy() > 0
                    index = skin.target_queries.index[row].numpy()[used]
                    assert len(index) == round(0.4 * there[run].sum())
                    assert there[run][index].all()
                    assert np.array_equal(skin.target_queries.values["p"][row, :, 0].numpy()[used], index + 1)
                    if inputs is None:
                        mask = skin.inputs.mask[row].numpy()
                        assert np.array_equal(mask[: len(there[run])], there[run])
                        assert not mask[len(there[run]) :].any()
                assert batch["air"].inputs.mask is None or inputs is None
                assert batch["air"].target_queries.mask is None


@pytest.mark.parametrize("name", ["masks/counted/c/0/0", "trajectories/mask/c/0"])
def test_a_damaged_mask_ends_in_an_error_that_names_it(tmp_path, roots, name):
    u = np.where(counted("same"), values(), np.nan).reshape(RUNS, STEPS, *SHAPE, 1)
    with ShardWriter(tmp_path / "d", mask_nan=True) as writer:
        writer.add({"u": u[0]})
    (path,) = (tmp_path / "d").rglob(name)
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(bytes(data))
    for opening in (tmp_path / "d" / "openings").iterdir():
        opening.unlink()
    with pytest.raises(UpsDataError, match="mask"):
        next(iter(loader(tmp_path / "d")))
