"""Options of a loader: written once, and then everywhere."""

import pickle
import pydoc
from dataclasses import dataclass, fields
from inspect import signature

import numpy as np
import pytest

from tests.datasets import write_grid
from ups_data import QueryDataset, QueryLoader, QuerySampling, UpsDataError
from ups_data.loader.options import LoaderOptions, collected, takes_options
from ups_data.loader.options.fields import option
from ups_data.loader.state import identity

SOME = {"split": "train", "batch_size": 4, "sampling": 0.1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("options") / "d"
    write_grid(root, steps=(5,) * 4)
    return root


def test_help_explains_every_option():
    shown = pydoc.render_doc(QueryLoader, renderer=pydoc.plaintext).replace("|", "")
    for spec in fields(LoaderOptions):
        assert f" {spec.name}" in shown
        assert " ".join(spec.metadata["doc"].split()) in " ".join(shown.split()), spec.name
        assert spec.name in signature(QueryLoader).parameters
    assert "which samples:" in shown.lower()


def test_a_pipeline_has_no_options_of_who_does_the_work():
    names = set(signature(QueryDataset).parameters)
    assert {s.name for s in fields(LoaderOptions)} - names == {
        *("threads", "num_workers", "prefetch", "multiprocessing_context", "timeout", "on_damage", "max_damaged")
    }


def test_an_option_that_is_new_is_everywhere(root):
    """One more field of the record: it is an argument, explained, and a part of the identity where it is changed."""

    @dataclass(frozen=True, kw_only=True)
    class Wider(LoaderOptions):
        mirrored: bool = option("Which points", "Whether the domain is mirrored.", False)

    @takes_options(Wider, loader_only=True)
    class Loader:
        """A loader."""

        def __init__(self, root, options=None, **given):
            self.options = collected(Wider, options, given, caller="Loader")

    assert signature(Loader).parameters["mirrored"].default is False
    assert "mirrored (default False): Whether the domain is mirrored." in Loader.__doc__
    loader = QueryLoader(root, **SOME)
    before = identity(loader._source)
    loader._source.options = Loader(root, **SOME).options
    assert identity(loader._source) == before
    loader._source.options = Loader(root, **SOME, mirrored=True).options
    assert identity(loader._source) == {**before, "mirrored": True}


def test_the_identity_of_old_states_is_as_it_was(root):
    """What a state of the first version holds, name by name."""
    assert set(identity(QueryLoader(root, **SOME)._source)) == {
        *("dataset", "split", "samples", "global_batch_size", "batches", "last_batch", "input_fields", "target_fields"),
        *("seed", "shuffle", "drop_last", "pad", "canonical_ranks", "repeats", "input_steps", "horizon", "dt_stride"),
        *("input_stride", "input_queries", "lattice_queries", "ragged", "sampling.ratio", "inputs"),
    }


def test_a_record_of_options_and_arguments_that_win(root):
    options = LoaderOptions(**SOME, seed=3)
    loader = QueryLoader(root, options, batch_size=2)
    assert (loader.options.batch_size, loader.options.seed, loader.seed) == (2, 3, 3)
    assert loader.options.sampling == QuerySampling(ratio=0.1)
    assert (loader.batch_size, loader.drop_last) == (2, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"batch_size": 0}, "batch_size is 0: give at least 1"),
        ({"verify": "sometimes"}, "verify='sometimes': choose one of first, always, never"),
        ({"ragged": "x"}, "ragged='x': choose one of sample, pad"),
        ({"on_damage": "ignore"}, "on_damage='ignore': choose one of raise, skip"),
        ({"timeout": 0}, "timeout is 0: give seconds, or None"),
        ({"prefetch": 0}, "prefetch is 0: give at least 1"),
        ({"inputs": 0.1, "input_steps": 2}, "input_steps is 2, give 1"),
    ],
)
def test_values_that_are_not_allowed(root, given, says):
    with pytest.raises(UpsDataError, match=says):
        QueryLoader(root, **{**SOME, **given})


def test_arguments_that_are_unknown_or_missing(root):
    with pytest.raises(TypeError, match=r"QueryLoader\(\) got an unexpected keyword argument 'batchsize'"):
        QueryLoader(root, **SOME, batchsize=3)
    with pytest.raises(TypeError, match="missing the keyword arguments batch_size, sampling"):
        QueryLoader(root, split="train")


def test_a_pickled_loader_is_made_again_at_its_place(root):
    loader = QueryLoader(root, **SOME)
    iterator = iter(loader)
    next(iterator), next(iterator)
    again = pickle.loads(pickle.dumps(loader))
    for ours, theirs in zip(iterator, again, strict=True):
        assert (ours.target_queries.index == theirs.target_queries.index).all()
    assert repr(again).startswith(f"QueryLoader('{root}', split='train', 16 samples, 4 batches of 4 on rank 0 of 1")
    assert len(repr(again)) < 300


@pytest.mark.parametrize("value", [0.5, 1.0, True, "1", float("nan"), [1], np.float32(1)])
@pytest.mark.parametrize("name", ["seed", "batch_size", "repeats", "canonical_ranks", "pool_bytes", "world_size"])
def test_whole_numbers_are_not_rounded(name, value):
    given = {"split": "train", "batch_size": 2, "sampling": QuerySampling(ratio=0.5), name: value}
    with pytest.raises(UpsDataError, match=f"{name} is .*: give a whole number"):
        LoaderOptions(**given)


@pytest.mark.parametrize("value", [2**31, 2**63, 10**30])
@pytest.mark.parametrize("name", ["batch_size", "repeats", "horizon", "canonical_ranks", "world_size", "dt_stride"])
def test_numbers_that_no_array_counts(name, value):
    given = {"split": "train", "batch_size": 2, "sampling": QuerySampling(ratio=0.5), name: value}
    with pytest.raises(UpsDataError, match=f"{name} is {value}: give at most"):
        LoaderOptions(**given)
    options = LoaderOptions(split="train", batch_size=np.int64(2), sampling=0.5, seed=value, pool_bytes=2**40)
    assert (options.seed, type(options.batch_size)) == (value, int)
