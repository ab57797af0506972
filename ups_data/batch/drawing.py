"""Which points a block of samples has: a pure function of the samples, before any of their frames is read."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ups_data.batch.samples import SampleBlock
from ups_data.hashing import absorb
from ups_data.points.domain import Domain
from ups_data.sampling import Draw, QuerySampling, Stream, draw_queries, sample_keys, share_keys


def draw(block: SampleBlock) -> dict[Stream, Draw]:
    """Draw the points of every query set that the recipe asks for; frames in the order of the block's lists.

    A sample's points depend on the sample alone, so a block may be drawn at once and gathered in parts. If the sampling
    is `shared`, they depend on the first sample of its batch instead: see `SampleBlock.batch_sizes`.
    """
    recipe = block.recipe
    samplings: dict[Stream, QuerySampling | None] = {
        Stream.INPUTS: recipe.inputs,
        Stream.INPUT_QUERIES: recipe.sampling if recipe.input_queries else None,
        Stream.TARGET_QUERIES: recipe.sampling,
        Stream.LATTICE_QUERIES: recipe.lattice_sampling if recipe.lattice_queries else None,
    }
    draws = {}
    for stream, sampling in samplings.items():
        if sampling is None:
            continue
        steps = block.target_steps if stream is Stream.TARGET_QUERIES else block.step[:, None]
        trajectory = np.repeat(block.trajectory, steps.shape[1])
        epoch = 0 if sampling.cycle else block.epoch  # a cycle's keys hold none
        keys = sample_keys(recipe.seed, epoch, trajectory, steps.ravel(), stream)
        if block.repetition.any():
            again = np.repeat(block.repetition, steps.shape[1])
            keys = np.where(again > 0, absorb(keys, again), keys)
        if sampling.shared:
            keys = share_keys(keys, block.batch_sizes or [len(block)])
        domains = block.masks.get(stream) or block.domains
        importance = block.importance.get(stream)
        draws[stream] = _drawn(recipe.fixed(sampling, block.moment), domains, block.moment, keys, importance)
    return draws


def _drawn(
    sampling: QuerySampling, domains: list[Domain], moment: float, keys: np.ndarray, importance: np.ndarray | None
) -> Draw:
    """One row for each key, sample by sample. Samples that share their points are drawn at once.

    Args:
        domains: one for all keys, one for each sample, or one for each key.
    """

    def of(domain: Domain, rows: np.ndarray | slice) -> Draw:
        # A domain of fewer points than there are tiles has one for each point.
        tiles = None if importance is None else importance[rows, : domain.all_points]
        return draw_queries(sampling, domain, keys[rows], moment, tiles)

    members: dict[int, list[int]] = {}
    for number, domain in enumerate(domains):
        members.setdefault(id(domain), []).append(number)
    if len(members) == 1:
        return of(domains[0], slice(None))
    rows = np.arange(len(keys)).reshape(len(domains), -1)  # of each sample
    of_domain = [rows[numbers].ravel() for numbers in members.values()]
    different = [domains[numbers[0]] for numbers in members.values()]
    found = [of(d, r) for d, r in zip(different, of_domain, strict=True)]
    joined, place = _joined(found), np.argsort(np.concatenate(of_domain))
    return _with_rows(joined, {name: array[place] for name, array in _rows(joined).items()})


def _joined(draws: list[Draw]) -> Draw:
    """The rows of several draws. Shorter rows are padded: with the first point and weight 0, and with blocks -1.

    The other weights of a padded row grow, so that its mean over all Q remains an estimate of the dense mean.
    """
    most = max(d.shape[1] for d in draws)
    if any(d.shape[1] < most for d in draws):
        draws = [_padded(d, most) for d in draws]
    if any(d.weight is not None for d in draws):  # where all points of a frame were drawn, it has none
        draws = [d if d.weight is not None else replace(d, weight=np.ones(d.shape, np.float32)) for d in draws]
    columns = {name: [_rows(d)[name] for d in draws] for name in _rows(draws[0])}
    if "blocks" in columns:
        most = max(rows.shape[1] for rows in columns["blocks"])
        columns["blocks"] = [
            np.pad(rows, ((0, 0), (0, most - rows.shape[1])), constant_values=-1) for rows in columns["blocks"]
        ]
    joined = _with_rows(draws[0], {name: np.concatenate(arrays) for name, arrays in columns.items()})
    return replace(joined, whole_blocks=all(d.whole_blocks for d in draws))


def _padded(draw: Draw, queries: int) -> Draw:
    rows, drawn = draw.shape
    weight = np.zeros((rows, queries), np.float32)
    weight[:, :drawn] = queries / drawn * (1.0 if draw.weight is None else draw.weight)
    behind = ((0, 0), (0, queries - drawn))
    more = {n: np.pad(a, (*behind, *[(0, 0)] * (a.ndim - 2))) for n, a in _rows(draw).items() if n != "blocks"}
    return replace(_with_rows(draw, {**more, "weight": weight}), whole_blocks=False)


def _rows(draw: Draw) -> dict[str, np.ndarray]:
    """What a draw has one row of for each frame."""
    values = {f.name: getattr(draw, f.name) for f in fields(draw)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _with_rows(draw: Draw, rows: dict[str, Any]) -> Draw:
    return replace(draw, **rows)
