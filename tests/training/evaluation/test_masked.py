"""Points that do not count, in rollouts and in baselines."""

import numpy as np
import pytest
import torch
from torch import nn

from ups_data import QueryLoader, QuerySampling, ShardWriter
from ups_data.models.points.pooling import chosen
from ups_data.training.evaluation.validation import evaluate
from ups_data.training.forecast.forecast import Forecast, fills_of

STEPS, SHAPE, FILL = 4, (6, 8), -9.0


def counted(moving: bool) -> np.ndarray:
    """`(2, T, N)`, of two runs."""
    found = np.ones((2, STEPS, *SHAPE), bool)
    for run in range(2):
        for step in range(STEPS):
            at = step if moving else run
            found[run, step, 1 : 3 + run, at : at + 3] = False
    return found.reshape(2, STEPS, -1)


class Grows(nn.Module):
    """Each point grows by 1 from step to step; it never sees anything but the fill value in a hole."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def predict(self, batch):
        fields, index = batch.inputs.fields["u"], batch.target_queries.index
        assert (fields[~batch.inputs.mask] == FILL).all()
        assert (fields[batch.inputs.mask] != FILL).all()
        self.seen.append(batch.inputs.mask)
        at = index.flatten(1)[..., None]
        return {"u": fields.gather(1, at).unflatten(1, index.shape[1:]) + 1}


@pytest.fixture(scope="module", params=[False, True], ids=["constant", "moving"])
def case(request, tmp_path_factory):
    """Values that a `Grows` predicts exactly, where a point counted in the frame before."""
    root = tmp_path_factory.mktemp("masked") / "d"
    start = np.random.default_rng(0).random((2, 1, int(np.prod(SHAPE)))).astype(np.float32)
    u = start + np.arange(STEPS, dtype=np.float32)[None, :, None]
    there = counted(request.param)
    with ShardWriter(root, mask_nan=True, mask_fill=FILL) as writer:
        for run in np.where(there, u, np.nan).reshape(2, STEPS, *SHAPE, 1):
            writer.add({"u": run})
    return root, there, u


def full(root, horizon: int) -> QueryLoader:
    given = {"batch_size": 2, "horizon": horizon, "ragged": "pad", "shuffle": False, "drop_last": False, "threads": 0}
    return QueryLoader(root, split="train", sampling=QuerySampling(), input_queries=False, **given)


def test_a_rollout_keeps_the_holes(case):
    root, there, u = case
    loader, model = full(root, 3), Grows()
    (batch,) = loader
    forecast = Forecast(model, {None: {"u": 1}}, rolls={None: ("u",)}, fills=fills_of(loader.manifest))
    pieces = list(forecast(batch))
    assert len(pieces) == 3
    for step, mask in enumerate(model.seen):
        assert np.array_equal(mask.numpy(), there[:, step])
    known = np.logical_and.accumulate(there, axis=1)  # what counts since the start
    for step, piece in enumerate(pieces, 1):
        for row in range(2):
            index, used = batch.target_queries.index[row, step - 1], batch.target_queries.weight[row, step - 1] > 0
            use = used.numpy() & known[row, step][index.numpy()]
            found = piece.values["u"][row, 0, :, 0].numpy()[use]
            np.testing.assert_allclose(found, u[row, step][index.numpy()][use], rtol=1e-6)


def test_validation_and_its_baseline_are_of_the_points_that_count(case):
    root, there, u = case
    found = evaluate(Grows(), full(root, 1))
    errors = {"model": [], "still": []}
    stored = np.where(there, u, FILL)
    for run in range(2):
        for step in range(1, STEPS):
            use = there[run, step]
            spread = np.sqrt((u[run, step][use] ** 2).mean())
            for name, grows in (("model", 1), ("still", 0)):
                away = stored[run, step - 1][use] + grows - u[run, step][use]
                errors[name].append(np.sqrt((away**2).mean()) / spread)
    assert found.nrmse == pytest.approx(np.mean(errors["model"]), rel=1e-4)
    assert found.persistence == pytest.approx(np.mean(errors["still"]), rel=1e-4)


def test_supernodes_are_points_that_are_there():
    mask = torch.rand(3, 50, generator=torch.manual_seed(0)) > 0.4
    index = chosen(torch.zeros(3, 50, 2), mask, 20, jitter=True)
    assert mask.gather(1, index).all()
    ends = torch.arange(50)[None] < torch.tensor([[50], [31], [12]])  # rows that are filled up behind their points
    torch.manual_seed(1)
    one = chosen(torch.zeros(3, 50, 2), ends, 20, jitter=True)
    torch.manual_seed(1)
    start = torch.rand(3, 1)
    sizes = torch.tensor([[50.0], [31.0], [12.0]])
    expected = ((torch.arange(20) + start) / 20 * sizes).long().clamp_max(sizes.long() - 1)
    assert torch.equal(one, expected)
