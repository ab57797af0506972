"""What a loader reads and draws: its arguments, checked against the dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from ups_data.batch import Recipe
from ups_data.batch.samples import Memory
from ups_data.errors import UpsDataError
from ups_data.loader.options import Coords, LoaderOptions
from ups_data.points.unit import UnitScale
from ups_data.sampling import QuerySampling
from ups_data.schema import Manifest
from ups_data.schema.measures import check_measure, size_field

POSITION_BYTES = 20  # three coordinates and a number


@dataclass(frozen=True)
class Selection:
    """What is read and drawn of one set of points, or of a grid.

    Attributes:
        set_name: None for a grid and for a dataset's only set.
        input_fields, target_fields: names.
        sampling, inputs: of the query sets, and of the encoder's own points (None: dense).
        encodes: whether the encoder sees anything of these points.
        fewest, most: points of a frame that count, of the frame with the fewest and of that with the most.
        largest: points of the largest frame, whether they count or not.
        padded: whether rows of fewer queries are padded; else every sample draws as many as of `fewest` points.
    """

    set_name: str | None
    input_fields: tuple[str, ...]
    target_fields: tuple[str, ...]
    sampling: QuerySampling
    inputs: QuerySampling | None
    fewest: int
    most: int
    largest: int
    padded: bool
    encodes: bool = True

    @property
    def feeds_back(self) -> QuerySampling | None:
        """The sampling that looks at errors of tiles, if one does."""
        return next((s for s in (self.sampling, self.inputs) if s is not None and s.metric == "error"), None)

    @property
    def is_ragged(self) -> bool:
        """Whether frames have different numbers of points that count."""
        return self.fewest < self.most

    @property
    def dense(self) -> bool:
        """Whether the encoder sees whole frames."""
        return self.encodes and self.inputs is None

    def points_drawn(self, epoch: float, sets: int) -> int:
        """Points that a sample draws at most, over so many query sets and the encoder's own."""
        points = self.most if self.padded else self.fewest
        encoders = 0 if self.inputs is None else self.inputs.count(points, epoch)
        return self.sampling.count(points, epoch) * sets + encoders

    def only_blocks(self, epoch: float) -> bool:
        """Whether every draw reads a part of the stored blocks only."""
        return all(s.record_at(epoch).reads_part_of_blocks for s in (self.sampling, self.inputs) if s is not None)

    def sample_bytes(self, manifest: Manifest, epoch: float, sets: int, input_steps: int) -> int:
        """Bytes of a sample in a batch, and of the decoded frames that it is taken from, about."""
        targets = [manifest.field(name) for name in self.target_fields]
        inputs = [manifest.field(name) for name in self.input_fields] if self.dense else []
        dense = input_steps * self.largest * sum(f.point_bytes for f in inputs)
        drawn = self.points_drawn(epoch, sets) * (sum(f.point_bytes for f in targets) + POSITION_BYTES)
        decoded = 0
        if manifest.codec != "none":  # a frame is decoded with all that is in its chunk
            decoded = input_steps * self.largest * sum(f.point_bytes * f.chunk_rows for f in inputs)
            chunks = sum(f.point_bytes * f.chunk_rows for f in targets)
            decoded += chunks * (self.points_drawn(epoch, sets) if self.only_blocks(epoch) else sets * self.largest)
        return max(1, dense + drawn + decoded)


def select(manifest: Manifest, options: LoaderOptions) -> list[Selection]:
    """One selection, or one for each set of points that `sampling` names, in its order.

    Raises:
        UpsDataError: an unknown split, field or set; fields on several sets with one sampling; more queries than
            points; every point of trajectories that have different numbers of them, without padding; importance that
            is not stored.
    """
    if not manifest.split(options.split).num_trajectories:
        raise UpsDataError(f"the split {options.split!r} holds no trajectories: name another one, or convert again")
    names = [f.name for f in manifest.fields]
    wanted = {"in": list(names if options.input_fields is None else options.input_fields)}
    wanted["out"] = list(manifest.default_targets() if options.target_fields is None else options.target_fields)
    set_of = {name: manifest.field(name).point_set for name in (*wanted["in"], *wanted["out"])}
    samplings = _by_set(options.sampling, set_of, manifest)
    encoders: dict[str | None, QuerySampling | Literal[False]] = (
        {}
        if options.inputs is None
        else dict.fromkeys(samplings, False)
        if options.inputs is False
        else _by_set(options.inputs, set_of, manifest)
    )
    if unknown := set(encoders) - set(samplings):
        raise UpsDataError(f"inputs names the sets {sorted(map(str, unknown))}, sampling does not: give both the same")
    found = []
    for set_name, of_set in samplings.items():
        fewest, most = manifest.counted_of(options.split, set_name)
        selection = Selection(
            set_name=set_name,
            input_fields=tuple(n for n in wanted["in"] if set_of[n] == set_name),
            target_fields=tuple(n for n in wanted["out"] if set_of[n] == set_name),
            sampling=of_set,
            inputs=encoders.get(set_name) or None,
            encodes=encoders.get(set_name) is not False,
            fewest=int(fewest.min()),
            most=int(most.max()),
            largest=manifest.max_points(options.split, set_name),
            padded=options.ragged == "pad",
        )
        _check_counts(selection)
        for of_draw in (selection.sampling, selection.inputs):
            if of_draw is not None and of_draw.metric not in (None, "error", "volume"):
                manifest.num_tiles(of_draw.importance_metric, set_name)
            if of_draw is not None:
                _check_measure(manifest, set_name, of_draw)
            if of_draw is not None and of_draw.off_grid and manifest.grid is None:
                raise UpsDataError("off_grid needs a grid to interpolate on, and this dataset has points: leave it out")
        found.append(selection)
    return found


_S = TypeVar("_S")


def _by_set(
    sampling: QuerySampling | Mapping[str, QuerySampling | _S], set_of: Mapping[str, str | None], manifest: Manifest
) -> dict[str | None, QuerySampling | _S]:
    """A sampling for each set: the mapping given, or one for the only set that the fields live on."""
    if isinstance(sampling, QuerySampling):
        sets = set(set_of.values())
        if len(sets) > 1:
            raise UpsDataError(
                f"the fields live on the sets of points {sorted(map(str, sets))}: choose the fields of one, or give "
                "each its sampling, as sampling={'" + "': …, '".join(sorted(map(str, sets))) + "': …}"
            )
        return {next(iter(sets)): sampling}
    if manifest.sets is None:
        raise UpsDataError("sampling is given by sets of points, and this dataset has one: give a QuerySampling")
    for name in sampling:
        manifest.point_set(name)  # raises where there is none of that name
    if not sampling:
        raise UpsDataError(f"sampling names no set of points: name one that the dataset has, {manifest.set_names}")
    return dict(sampling.items())


def _check_counts(selection: Selection) -> None:
    for sampling in (selection.sampling, selection.inputs):
        if sampling is None:
            continue
        count = sampling.count(selection.fewest, 0)  # refuses more queries than the smallest frame has points
        differ = selection.is_ragged and not selection.padded
        what = "trajectories have" if selection.most == selection.largest else "of a frame's points there count"
        if differ and sampling.num_queries is None and count == selection.fewest:
            raise UpsDataError(
                f"every point is asked for, and {what} {selection.fewest} to {selection.most}: "
                "give ragged='pad' (rows padded, with a mask), or a ratio below 1"
            )


def _check_measure(manifest: Manifest, set_name: str | None, sampling: QuerySampling) -> None:
    if sampling.metric == "volume":
        check_measure(manifest, set_name, "importance_metric='volume'", "choose another metric")
    if sampling.measure == "volume":
        check_measure(manifest, set_name, "measure='volume'", "leave measure='count'")
        if sampling.off_grid and (field := size_field(manifest, set_name)) is not None:
            raise UpsDataError(
                f"off_grid with measure='volume' needs cells that follow from the grid's axes, and this grid has the "
                f"field {field!r}: leave one of the options out"
            )


def recipe_of(manifest: Manifest, selection: Selection, options: LoaderOptions, memory: Memory) -> Recipe:
    """What the batches of a selection are made of.

    Args:
        memory: where their arrays come from.
    """
    return Recipe(
        sampling=selection.sampling,
        inputs=selection.inputs,
        seed=options.seed,
        input_queries=options.input_queries,
        lattice_queries=options.lattice_queries,
        params=tuple(manifest.params),
        memory=memory,
        fewest=None if selection.padded or not selection.is_ragged else selection.fewest,
        input_stride=options.input_stride,
        repeats=options.repeats,
        encodes=selection.encodes,
        mask_moves=manifest.mask_moves(selection.set_name),
        scale=scale_of(manifest, selection.set_name, options.coords),
    )


def check_grid(manifest: Manifest, options: LoaderOptions) -> None:
    """Refuse options that need a grid where there is none, or that do not go together on one.

    Raises:
        UpsDataError: it says which.
    """
    grid = manifest.grid
    if options.lattice_queries and grid is None:
        raise UpsDataError(
            "lattice_queries needs a grid, and this dataset has points: leave the inverse-decoding loss out"
        )
    if options.input_stride > 1 and (grid is None or options.inputs is not None or options.input_queries):
        raise UpsDataError(
            f"input_stride={options.input_stride} thins the dense input of a grid: it goes with neither points, "
            "nor inputs=, nor input_queries: leave it out, or give a grid, no inputs= and input_queries=False"
        )


def scale_of(manifest: Manifest, set_name: str | None, coords: Coords | None) -> UnitScale | None:
    """How a set's coordinates are scaled in batches; None: not at all.

    Raises:
        UpsDataError: a scale is asked for that the dataset does not hold.
    """
    if coords == "source" or manifest.grid is not None:
        return None
    scale = manifest.unit_scale(set_name, common=coords == "common")
    if scale is None and coords is not None:
        raise UpsDataError(
            f"coords={coords!r}: the dataset was written without the boxes of its points: convert it again, or give "
            "coords='source'"
        )
    return scale
