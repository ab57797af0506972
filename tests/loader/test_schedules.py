"""The number of queries follows the schedule's formula, by epoch and by step, in every worker and after a resume."""

import itertools

import pytest

from tests.datasets import write_grid
from ups_data import QueryDataset, QueryLoader, QuerySampling, query_collate

BY_STEP = {"schedule_unit": "step", "schedule": "linear", "start_ratio": 1.0, "end_ratio": 0.1, "end_epoch": 3}
SAMPLINGS = {
    "linear": QuerySampling(**BY_STEP),
    "cosine, in multiples": QuerySampling(**{**BY_STEP, "schedule": "cosine", "query_multiple": 8}),
    "jumps": QuerySampling(**{**BY_STEP, "schedule": "step", "jumps": 5, "mode": "stratified", "start_epoch": 1}),
    "exponential": QuerySampling(**{**BY_STEP, "schedule": "exponential"}),
    "by epoch": QuerySampling(**{**BY_STEP, "schedule_unit": "epoch"}),
}
EPOCHS = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("schedules") / "d"
    write_grid(root, grid=(16, 16), steps=(9,) * 5)  # 40 samples
    return root


def loader(root, sampling, **options):
    return QueryLoader(root, **{"split": "train", "batch_size": 4, "sampling": sampling, **options})


def queries(source, epochs=EPOCHS):
    return [b.target_queries.index.shape[1] for _ in range(epochs) for b in source]


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("options", [{}, {"threads": 0}, {"num_workers": 2}])
def test_every_batch_has_the_formulas_queries(root, name, options):
    sampling = SAMPLINGS[name]
    by_step = sampling.schedule_unit == "step"
    expected = [sampling.count(256, epoch + step / 10 * by_step) for epoch in range(EPOCHS) for step in range(10)]
    assert queries(loader(root, sampling, **options)) == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_resuming_in_the_middle_continues_the_curriculum(root, options):
    expected = queries(loader(root, SAMPLINGS["linear"]))
    for stop in (7, 10, 23):
        source = loader(root, SAMPLINGS["linear"])
        for _ in itertools.islice(itertools.chain.from_iterable(source for _ in range(EPOCHS)), stop):
            pass
        resumed = loader(root, SAMPLINGS["linear"], **options)
        resumed.load_state_dict(source.state_dict())
        assert queries(resumed, EPOCHS - stop // 10) == expected[stop:]


def test_ranks_keep_step(root):
    """A step is one of the global batches, whatever the number of ranks."""
    whole = queries(loader(root, SAMPLINGS["linear"]))
    for rank in range(2):
        assert queries(loader(root, SAMPLINGS["linear"], batch_size=2, rank=rank, world_size=2)) == whole


def test_a_pipeline_of_samples_keeps_step(root):
    pipeline = QueryDataset(root, split="train", batch_size=4, sampling=SAMPLINGS["linear"])
    found = [b.target_queries.index.shape[1] for b in pipeline.batched(4, collation_fn=query_collate)]
    assert found == queries(loader(root, SAMPLINGS["linear"]), 1)


def test_the_encoders_points_follow_too(root):
    source = loader(root, QuerySampling(ratio=0.1), inputs=SAMPLINGS["linear"])
    found = [b.inputs.fields["u"].shape[1] for b in source]
    assert found == [SAMPLINGS["linear"].count(256, step / 10) for step in range(10)]
