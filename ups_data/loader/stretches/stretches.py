"""`Stretches`: every point of a sample's target frames once, never all of them in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ups_data.batch import QueryBatch, SampleBlock, gather, wanted
from ups_data.loader.loader import QueryLoader
from ups_data.loader.selection import POSITION_BYTES
from ups_data.points.domain import Domain
from ups_data.points.part import Part
from ups_data.sampling import Draw, QuerySampling, Stream
from ups_data.schema import Manifest

STRETCH = 2**17  # points: a few megabytes, and few calls


@dataclass(frozen=True)
class SampleFrames:
    """The target frames of one sample, of one set of points.

    Attributes:
        points: of each frame that count.
        read: steps of the horizon → batches of this one sample, whose `target_queries` (and, if they are asked for,
            `input_queries`) are the points of one stretch after another, and whose inputs are empty. Points come in the
            order in which they are stored.
    """

    points: int
    read: Callable[[slice], Iterator[QueryBatch]]


class Stretches:
    """Reads samples of a split beside a loader that hands out what the encoder sees.

        frames = Stretches(loader).of(int(batch.trajectory[0]), int(batch.step[0]))
        for part in frames["volume"].read(slice(0, 1)):
            part.target_queries.index, part.target_queries.values["p"]  # (1, n), (1, n, 1)

    Args:
        loader: with `target_fields`; how it draws, and how many samples its batches have, plays no part. What is mapped
            and decoded is shared with it.
        change: what is done with every batch before it is handed out.
        points: of a stretch at most.
    """

    def __init__(
        self,
        loader: QueryLoader,
        change: Callable[[QueryBatch], QueryBatch] = lambda batch: batch,
        points: int | None = None,
    ) -> None:
        self._change, self._points = change, points or STRETCH
        manifest, options = loader.manifest, loader.options
        targets = options.target_fields or ()
        one, sets = one_query(manifest), {manifest.field(name).point_set for name in targets}
        options = replace(
            options,
            sampling=one if manifest.sets is None else {str(name): one for name in sets},
            inputs=False,
            # Of the input frame, what the targets are compared with.
            input_fields=[n for n in options.input_fields or () if options.input_queries and n in targets],
            batch_size=1,
        )
        self._source = loader.dataset.source.beside(options)

    def of(self, trajectory: int, step: int) -> dict[str | None, SampleFrames]:
        """Set of points → the target frames of a sample: of a trajectory's number in the split, and of the number of
        its (last) input frame."""
        self._let_go()  # what the loader read of the sample
        (first,) = self._source.table.first_of(np.array([trajectory]))
        number = int(first) + step - int(self._source.table.at(np.array([first])).step[0])
        return {reader.set_name: self._frames(place, number) for place, reader in enumerate(self._source.readers)}

    def _let_go(self) -> None:
        """Mapped files of any size count as memory as far as they were read, unless they are let go."""
        for shard in self._source.readers[0].shards:
            shard.let_go()

    def _frames(self, place: int, number: int) -> SampleFrames:
        reader = self._source.readers[place]
        block = reader.block([number], 0)
        domain = (block.masks.get(Stream.TARGET_QUERIES) or block.domains)[0]

        def read(steps: slice) -> Iterator[QueryBatch]:
            some = _steps(block, steps)
            streams = {Stream.TARGET_QUERIES: some.horizon}
            if some.recipe.input_queries:
                streams[Stream.INPUT_QUERIES] = 1
            for draw in _draws(domain, self._points):
                draws = {stream: _repeated(draw, rows) for stream, rows in streams.items()}
                batch = gather(some, draws, reader.pool.fetch(wanted(some, draws)))
                self._let_go()
                yield self._change(replace(batch, set_name=reader.set_name))

        return SampleFrames(domain.num_points, read)


def one_query(manifest: Manifest) -> QuerySampling:
    """One point of each sample, for which nobody has to know which points the stored blocks hold."""
    return QuerySampling(num_queries=1, mode="blocks" if manifest.blocks > 1 else "uniform")


def _draws(domain: Domain, most: int) -> Iterator[Draw]:
    """Every point of a domain that counts, in the order in which it is stored, as draws of one row."""
    blocks, part = domain.blocks, domain if isinstance(domain, Part) else None
    if blocks is not None and len(blocks) > 1:
        for number, count in enumerate(blocks.counts.tolist()):
            slots = np.arange(count) if part is None else part.places[number, :count]
            for start in range(0, count, most):
                yield Draw(None, blocks=np.array([[number]]), slots=slots[None, start : start + most])
        return
    for start in range(0, domain.num_points, most):
        stop = min(start + most, domain.num_points)
        index = np.arange(start, stop) if part is None else part.candidates[start:stop]
        yield Draw(index[None])


def _repeated(draw: Draw, rows: int) -> Draw:
    """The same points of so many frames."""

    def each(array: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        return None if array is None else np.repeat(array, rows, axis=0)

    return Draw(each(draw.index), blocks=each(draw.blocks), slots=each(draw.slots))


def _steps(block: SampleBlock, steps: slice) -> SampleBlock:
    """A block of one sample with some of its target frames."""
    first, last, _ = steps.indices(block.horizon)
    positions = block.target_positions
    return replace(
        block,
        target_steps=block.target_steps[:, steps],
        dt=block.dt[:, steps],
        targets={name: frames.part(first, last) for name, frames in block.targets.items()},
        target_positions=None if positions is None else positions.part(first, last),
        masks={s: of[steps] if s is Stream.TARGET_QUERIES else of for s, of in block.masks.items()},
    )


def sample_bytes(manifest: Manifest, split: str, targets: Sequence[str], horizon: int) -> int:
    """Of the frames of a sample and of where their points are, decoded: if the pool of the loader has less room, chunks
    are decoded anew for every stretch."""
    fields = [manifest.field(name) for name in targets]
    frames = sum(manifest.frame_bytes(field) for field in fields) * (horizon + 1)
    points = sum(manifest.max_points(split, name) for name in {field.point_set for field in fields})
    return frames + points * POSITION_BYTES * max(1, horizon)
