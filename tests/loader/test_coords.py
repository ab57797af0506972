"""Coordinates of point sets: a unit scale by default, the same for every unit of length, and the way back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.datasets import edit_manifest
from ups_data import QueryDataset, QueryLoader, QuerySampling, ShardWriter, query_collate
from ups_data import _native as built
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.trajectory import PointSet

LOW, SIDES = np.array([3.0, -2.0, 1.0]), np.array([2.0, 8.0, 4.0])  # of the clouds' box


def cloud(seed: int, points: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Points that fill the box, its corners among them."""
    unit = np.random.default_rng(seed).random((points, 3))
    unit[:2] = [[0, 0, 0], [1, 1, 1]]
    return (LOW + unit * SIDES) * scale + shift


def write(
    root: Path,
    sizes: tuple[int, ...] = (96, 96),
    *,
    scale: float = 1.0,
    shift: float = 0.0,
    moving: bool = False,
    **options: Any,
) -> Path:
    """Clouds whose field is the position itself, as it was given."""
    with ShardWriter(root, **options) as writer:
        for number, points in enumerate(sizes):
            coords = cloud(number, points, scale, shift)
            if moving:
                coords = np.stack([coords, coords[::-1]])
            frames = np.broadcast_to(coords, (2, points, 3))
            writer.add({"place": (frames - shift).astype(np.float32)}, coords=coords, split="train")
            writer.add({"place": (frames - shift).astype(np.float32)}, coords=coords, split="valid")
    return root


MODES = ["uniform", "stratified", "blocks"]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("options", [{}, {"blocks": 8}, {"moving": True}, {"blocks": 8, "pack": True}], ids=str)
def test_longest_side_is_one_and_points_keep_their_values(
    tmp_path: Path, codec: str, options: dict[str, Any], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every set of a batch, whatever was read to draw it, coordinates are those of the very points."""
    if not native:
        monkeypatch.setattr(built, "native", None)
    root = write(tmp_path / "d", codec=codec, **options)
    for mode in MODES if "blocks" in options else MODES[:2]:
        for inputs in (None, QuerySampling(ratio=0.5, mode=mode)):
            sampling = QuerySampling(ratio=0.25, mode=mode)
            loader = QueryLoader(root, split="train", batch_size=2, sampling=sampling, inputs=inputs, threads=0)
            for batch in loader:
                for part, values in [
                    (batch.inputs, batch.inputs.fields["place"]),
                    *((q, q.values["place"]) for q in (batch.input_queries, batch.target_queries)),
                ]:
                    expected = (values.double() - torch.tensor(LOW)) / SIDES.max()
                    torch.testing.assert_close(part.coords.double(), expected, rtol=0, atol=2e-7)
                    torch.testing.assert_close(part.source_coords(), values.double(), rtol=0, atol=2e-6)


def test_ratio_one_and_rows_of_unequal_length(tmp_path: Path) -> None:
    """Dense rows are padded with zeros, which stay zeros."""
    root = write(tmp_path / "d", (64, 96))
    loader = QueryLoader(root, split="train", batch_size=2, sampling=QuerySampling(ratio=1.0), ragged="pad", threads=0)
    for batch in loader:
        mask = batch.inputs.mask
        assert mask is not None
        assert not mask.all()
        assert not batch.inputs.coords[~mask].any()
        low, high = (f(batch.inputs.coords[mask], 0) for f in (torch.amin, torch.amax))
        np.testing.assert_allclose([low.tolist(), high.tolist()], [[0, 0, 0], SIDES / SIDES.max()], atol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.0, 1e6), (1e-3, -4e5)])
def test_units_and_origin_do_not_matter(tmp_path: Path, scale: float, shift: float) -> None:
    """The same cars in metres, in millimetres, and far from the origin: the same coordinates, and the way back."""
    sampling = QuerySampling(ratio=0.5)
    metres, other = (
        next(iter(QueryLoader(root, split="train", batch_size=2, sampling=sampling, threads=0))).target_queries
        for root in (write(tmp_path / "a"), write(tmp_path / "b", scale=scale, shift=shift))
    )
    assert torch.equal(metres.index, other.index)
    torch.testing.assert_close(metres.coords, other.coords, rtol=0, atol=1e-6)
    back = (other.source_coords() - shift) / scale
    torch.testing.assert_close(back, metres.source_coords(), rtol=0, atol=1e-5)


def test_statistics_of_every_split_are_stored(tmp_path: Path) -> None:
    """Box, mean and standard deviation as numpy has them; the training split's box scales the others too."""
    with ShardWriter(tmp_path / "d", shard_bytes=1) as writer:
        for split, factor in (("valid", 2.0), ("train", 1.0)):
            for seed in range(3):
                coords = cloud(seed, 50) * factor
                writer.add({"u": np.zeros((1, 50, 1), np.float32)}, coords=coords, split=split)
    manifest = Manifest.load(tmp_path / "d")
    for split, factor in (("train", 1.0), ("valid", 2.0)):
        points = np.concatenate([cloud(seed, 50) * factor for seed in range(3)]).astype(np.float32)
        (found,) = (manifest.split(split).coords or {}).values()
        for name in ("min", "max", "mean", "std"):
            np.testing.assert_allclose(getattr(found, name), getattr(points.astype(np.float64), name)(0), rtol=1e-12)
    loader = QueryLoader(tmp_path / "d", split="valid", batch_size=3, sampling=1.0, horizon=0, threads=0)
    highest = next(iter(loader)).inputs.coords.amax((0, 1))
    np.testing.assert_allclose(highest, (2 * (LOW + SIDES) - LOW) / SIDES.max(), rtol=1e-5)


def test_sets_of_their_own_or_in_one_box(tmp_path: Path) -> None:
    """'unit' scales each set by its own box; 'common' keeps the distances between points of different sets."""
    wing, wake = cloud(0, 40), cloud(1, 60) * 5
    with ShardWriter(tmp_path / "d") as writer:
        sets = {
            name: PointSet(coords=coords, fields={name + "_u": np.zeros((2, len(coords), 1), np.float32)})
            for name, coords in (("wing", wing), ("wake", wake))
        }
        writer.add(sets=sets)
    low = np.minimum(wing.min(0), wake.min(0))
    side = (np.maximum(wing.max(0), wake.max(0)) - low).max()
    samplings = {"wing": QuerySampling(ratio=1.0), "wake": QuerySampling(ratio=1.0)}
    common = next(iter(QueryLoader(tmp_path / "d", split="train", batch_size=1, sampling=samplings, coords="common")))
    for name, coords in (("wing", wing), ("wake", wake)):
        np.testing.assert_allclose(common[name].inputs.coords[0], (coords - low) / side, atol=1e-6)
        np.testing.assert_allclose(common[name].inputs.source_coords()[0], coords, atol=1e-5)
    own = next(iter(QueryLoader(tmp_path / "d", split="train", batch_size=1, sampling=samplings)))
    assert [float(own[n].inputs.coords.max()) for n in ("wing", "wake")] == pytest.approx([1, 1])


def test_source_hands_out_what_is_stored(tmp_path: Path) -> None:
    root = write(tmp_path / "d")
    loader = QueryLoader(root, split="train", batch_size=2, sampling=0.5, coords="source", threads=0)
    batch = next(iter(loader))
    assert torch.equal(batch.target_queries.coords, batch.target_queries.values["place"])
    with pytest.raises(UpsDataError, match="not scaled"):
        batch.target_queries.source_coords()


def test_dataset_and_loader_agree(tmp_path: Path) -> None:
    root = write(tmp_path / "d", blocks=4)
    options = dict(split="valid", sampling=QuerySampling(ratio=0.5, mode="blocks"))
    dataset = QueryDataset(root, batch_size=2, **options)
    first = query_collate(list(dataset))
    second = next(iter(QueryLoader(root, batch_size=2, threads=0, **options)))
    assert torch.equal(first.target_queries.coords, second.target_queries.coords)
    assert first.target_queries.scale == second.target_queries.scale


def test_without_boxes_coordinates_stay(tmp_path: Path) -> None:
    """A dataset of a version that stored none is handed out as before; a scale that is asked for is refused."""
    root = write(tmp_path / "d")
    edit_manifest(root, lambda manifest: [split.pop("coords") for split in manifest["splits"].values()])
    batch = next(iter(QueryLoader(root, split="train", batch_size=2, sampling=0.5, threads=0)))
    assert torch.equal(batch.target_queries.coords, batch.target_queries.values["place"])
    with pytest.raises(UpsDataError, match=r"coords='unit'.*convert it again"):
        next(iter(QueryLoader(root, split="train", batch_size=2, sampling=0.5, coords="unit", threads=0)))


def test_boxes_that_are_none_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "d")
    edit_manifest(root, lambda manifest: manifest["splits"]["train"]["coords"][""].update(max=[1.0, float("nan"), 0]))
    with pytest.raises(UpsDataError, match="box of the points"):
        Manifest.load(root)


def test_the_state_knows_the_scale(tmp_path: Path) -> None:
    """A run that goes on with other coordinates is refused."""
    root = write(tmp_path / "d")
    state = QueryLoader(root, split="train", batch_size=2, sampling=0.5).state_dict()
    with pytest.raises(UpsDataError, match="coords"):
        QueryLoader(root, split="train", batch_size=2, sampling=0.5, coords="source").load_state_dict(state)
