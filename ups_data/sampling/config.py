"""`QuerySampling`: how many points are drawn, and how."""

import math
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.sampling.mistakes import known, one_line
from ups_data.sampling.mode import Mixture, Mode
from ups_data.sampling.mode_options import (
    ModeSchedule,
    mode_at,
    names_in,
    parse_mode,
    parse_mode_schedule,
    record_of,
)
from ups_data.sampling.modes.cycle import check_cycle
from ups_data.sampling.modes.lattice import LATTICE
from ups_data.sampling.registry import import_modules, modules_of
from ups_data.sampling.schedule import Schedule, check_ramp, ratio_at


class QuerySampling(BaseModel):
    """How many of a frame's points are drawn, and how.

    Give one of `ratio`, `num_queries`, or a `schedule` with its start and end; with none of them every point is drawn.
    Ratio 1 (or as many queries as points, or mode `full`) means every point in row-major order with weight 1, whatever
    the mode (in `order="random"` too every point comes once with weight 1), if `measure` is `count`.

    Which points are drawn is a pure function of (seed, epoch, trajectory, step, stream), except with `shared`.

        QuerySampling(ratio=0.1, mode="stratified")
        QuerySampling(num_queries=4096, mode="stratified", order="random")  # the first 512 are a fair draw, too
        QuerySampling(schedule="cosine", start_ratio=1.0, end_ratio=0.1, end_epoch=50)

    Attributes:
        ratio: queries ÷ points, in (0, 1].
        num_queries: queries per sample, if their number should not depend on N.
        mode: `full`, `uniform` (without replacement; alias `random`), `stratified` (one jittered point per tile),
            `lattice` (a randomly offset coarse grid), `blocks` (whole stored blocks, so that only those are read), or
            `importance` (tiles by their importance, points uniformly inside, with weights that undo the preference);
            or one that `register_mode` or an installed package made known. Or a mixture of `uniform`, `stratified` and
            `importance`, as `{"stratified": 0.7, "importance": 0.3}`.
        mode_schedule: first epoch → mode, as `{0: "uniform", 20: "importance"}`; `mode` holds before the first.
        schedule: `constant`, `linear`, `cosine`, `exponential` or `step`, from `start_ratio` at `start_epoch` to
            `end_ratio` at `end_epoch` (formulae: `ups_data.sampling.schedule.ratio_at`). Before `start_epoch` a
            constant schedule draws every point, the others draw `start_ratio`.
        schedule_unit: `epoch`, the ratio is constant during an epoch; or `step`, it moves on with every step: the
            epoch is then given as epoch + step ÷ steps per epoch.
        jumps: of schedule `step`, how many equal jumps lead from the start to the end.
        query_multiple: Q is rounded to the nearest multiple of this, so that compiled models see few shapes (`lattice`
            draws the grid nearest to that number).
        off_grid: on grids, move every drawn point to a random place in its cell (see `Draw.offset`); its target is
            interpolated. For training that should not lock to the lattice. Not with `lattice` or `blocks`.
        order: in which order the points come. `stored`: as they are read with the least effort, which is an order of
            space: row-major (`uniform`, `full`, `lattice`), along a space-filling curve (`stratified`, `importance`),
            or block by block. So the first M points are a part of the domain, not a sample of it.
            `random`: the first M points of Q, the others, and every slice are fair draws of their own, for every M, and
            a point's weight among them is the weight it has. With `stratified` and `importance` each slice is spread
            along the curve as evenly as can be, with the other modes it is a random subset. The points are the same in
            both orders; in `random` order those of a lattice form none (`grid_shape` is None), and blocks are
            copied point by point.
        shared: all samples of a batch that lie on the same points (grids, shared meshes) get the same queries, for
            models that take one geometry for a batch. They are drawn as for the batch's first sample. So which points
            are drawn also depends on which samples share a batch: on `batch_size` and on the number of ranks. On meshes
            that are stored once for each trajectory, not with `blocks` or `importance`, which differ between them.
        cycle: draw no point again before every point has been drawn: each sample goes through its points in
            ceil(N / Q) epochs, in a new order each time; `start_epoch` begins the first cycle. For `uniform` and
            `stratified` with a constant number of points. Each epoch by itself is drawn as without it.
        measure: what weighted means estimate, in every mode: with `count` the mean over all points; with `volume` that
            over the domain, Σ v f / Σ v with v the size of each point's cell (stored, or by a grid's uneven axes). At
            ratio 1 the weights are v ÷ its mean. Which points are drawn does not change.
        importance_metric: of mode `importance`: `gradient` or `variance` of the data, `volume`, so that points are
            drawn as often as their cells are large, or `error`, the model's own.
        importance_floor: share of the queries that `importance` spreads evenly, in (0, 1]; so every point can be drawn
            and no weight exceeds 1 / floor.
        importance_window: of the metric `error`: epochs from one table of importance to the next. Errors come in by
            `QueryLoader.feedback`; in the first window nothing is known, and all tiles are alike.
        importance_decay: of the metric `error`: share of a tile's average that remains when an epoch's errors come in.
        importance_shared: of the metric `error`: one average for a tile of all trajectories, instead of one for each.

    Raises:
        UpsDataError: one line that names the option, what is wrong with it and what to give instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ratio: float | None = None
    num_queries: int | None = None
    mode: str | Mixture = "uniform"
    mode_schedule: ModeSchedule | None = None
    schedule: Schedule = "constant"
    schedule_unit: Literal["epoch", "step"] = "epoch"
    start_ratio: float | None = None
    end_ratio: float | None = None
    start_epoch: int = 0
    end_epoch: int | None = None
    jumps: int = 4
    query_multiple: int = 1
    off_grid: bool = False
    order: Literal["stored", "random"] = "stored"
    shared: bool = False
    cycle: bool = False
    measure: Literal["count", "volume"] = "count"
    importance_metric: Literal["gradient", "variance", "volume", "error"] = "gradient"
    importance_floor: float = 0.1
    importance_window: int = 1
    importance_decay: float = 0.5
    importance_shared: bool = False

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise UpsDataError(f"QuerySampling: {one_line(error, list(type(self).model_fields))}") from None

    @field_validator("mode", mode="before")
    @classmethod
    def _known_mode(cls, mode: Any) -> Any:
        return parse_mode(mode)

    @field_validator("mode_schedule", mode="before")
    @classmethod
    def _known_modes(cls, mode_schedule: Any) -> Any:
        return parse_mode_schedule(mode_schedule)

    @field_validator("schedule", "schedule_unit", "order", "measure", "importance_metric", mode="before")
    @classmethod
    def _known_name(cls, name: Any, info: Any) -> Any:
        return known(info.field_name, name, get_args(cls.model_fields[info.field_name].annotation))

    @field_validator("ratio", "start_ratio", "end_ratio", "importance_floor")
    @classmethod
    def _ratio_in_range(cls, ratio: float | None, info: Any) -> float | None:
        if ratio is not None and not 0 < ratio <= 1:
            raise ValueError(f"{info.field_name} is {ratio:g}: give a number above 0 and at most 1")
        return ratio

    @field_validator("importance_decay")
    @classmethod
    def _below_one(cls, decay: float) -> float:
        if not 0 <= decay < 1:
            raise ValueError(f"importance_decay is {decay:g}: give a number from 0 and below 1")
        return decay

    @field_validator("num_queries", "query_multiple", "jumps", "importance_window")
    @classmethod
    def _positive(cls, number: int | None, info: Any) -> int | None:
        if number is not None and number < 1:
            raise ValueError(f"{info.field_name} is {number}: give at least 1")
        return number

    @model_validator(mode="after")
    def _consistent(self) -> "QuerySampling":
        if self.ratio is not None and self.num_queries is not None:
            raise ValueError(f"ratio={self.ratio:g} and num_queries={self.num_queries} are both given: leave one out")
        for mode in self.records if self.off_grid else ():
            if mode.forms_lattice:
                raise ValueError(
                    f"off_grid takes points off the grid that mode {mode.name!r} promises: leave one of them out"
                )
            if mode.reads_part_of_blocks:
                raise ValueError(
                    f"off_grid needs every point's neighbours, mode {mode.name!r} reads none: use mode 'stratified'"
                )
        if self.cycle:
            varying = {
                "schedule": self.schedule != "constant",
                "mode_schedule": self.mode_schedule,
                "shared": self.shared,
            }
            check_cycle(record_of(self.mode), [name for name, given in varying.items() if given])
        ramp = {"start_ratio": self.start_ratio, "end_ratio": self.end_ratio, "end_epoch": self.end_epoch}
        check_ramp(self.schedule, ramp, {"ratio": self.ratio, "num_queries": self.num_queries})
        if self.schedule != "constant" and self.end_epoch is not None and self.end_epoch < self.start_epoch:
            raise ValueError(f"end_epoch {self.end_epoch} is before start_epoch {self.start_epoch}: swap them")
        return self

    @property
    def modes(self) -> tuple[str | Mixture, ...]:
        """Every mode that some epoch may use."""
        return (self.mode, *(mode for _, mode in self.mode_schedule or ()))

    @property
    def records(self) -> list[Mode]:
        """The records of every mode that some epoch may use."""
        return [record_of(mode) for mode in self.modes]

    def mode_at(self, epoch: float) -> str | Mixture:
        """The mode of one epoch."""
        return mode_at(self.mode, self.mode_schedule, epoch)

    def record_at(self, epoch: float) -> Mode:
        """The record of one epoch's mode: what it draws, and what it needs."""
        return record_of(self.mode_at(epoch))

    def uses_importance(self, epoch: float) -> bool:
        """Whether one epoch's mode looks at the importance of tiles."""
        return self.record_at(epoch).needs_importance

    @property
    def metric(self) -> str | None:
        """The metric whose importance some epoch looks at; None if no epoch does."""
        return self.importance_metric if any(mode.needs_importance for mode in self.records) else None

    def as_lattice(self) -> "QuerySampling":
        """The same numbers of points, in mode `lattice` at every epoch."""
        as_grid = {"mode": LATTICE.name, "mode_schedule": None, "off_grid": False, "order": "stored", "cycle": False}
        return self.model_copy(update=as_grid)

    def with_count(self, count: int) -> "QuerySampling":
        """The same way of drawing, of `count` points at every epoch."""
        constant = {"schedule": "constant", "start_ratio": None, "end_ratio": None, "end_epoch": None, "start_epoch": 0}
        return self.model_copy(update={"ratio": None, "num_queries": count, "query_multiple": 1, **constant})

    def ratio_at(self, epoch: float) -> float:
        """The ratio asked for (before rounding to whole points).

        Args:
            epoch: the epoch, or epoch + step ÷ steps per epoch, of which `schedule_unit="epoch"` looks at the whole
                part only.

        Raises:
            UpsDataError: `num_queries` is given, so the ratio depends on N: use `count`.
        """
        if self._draws_all(epoch):
            return 1.0
        if self.num_queries is not None:
            raise UpsDataError("QuerySampling: num_queries is given, so there is no ratio: call count()")
        if self.start_ratio is None or self.end_ratio is None or self.end_epoch is None:
            return 1.0 if self.ratio is None else self.ratio
        moment = epoch if self.schedule_unit == "step" else math.floor(epoch)
        return ratio_at(
            self.schedule, moment, self.start_ratio, self.end_ratio, self.start_epoch, self.end_epoch, self.jumps
        )

    def count(self, num_points: int, epoch: float) -> int:
        """Q, the number of queries asked for: max(1, round(ratio · N)), exactly N at ratio 1.

        Rounded to the nearest multiple of `query_multiple`, at least one multiple and never above N. `lattice` may
        draw a few more or fewer: see `num_drawn`. `epoch` may be fractional, see `ratio_at`.

        Raises:
            UpsDataError: more queries are asked for than there are points.
        """
        if self._draws_all(epoch):
            return num_points
        if self.num_queries is not None:
            if self.num_queries > num_points:
                raise UpsDataError(
                    f"QuerySampling: num_queries is {self.num_queries} but the frame has {num_points} points: "
                    f"give at most {num_points}"
                )
            queries = self.num_queries
        else:
            queries = max(1, round(self.ratio_at(epoch) * num_points))
        multiple = self.query_multiple
        if queries >= num_points or num_points < multiple:
            return num_points
        nearest = math.floor(queries / multiple + 0.5) * multiple
        return min(max(nearest, multiple), num_points // multiple * multiple)

    def num_drawn(self, domain: Domain, epoch: float) -> int:
        """The number of points that `draw_queries` returns per sample."""
        queries, mode = self.count(domain.num_points, epoch), self.record_at(epoch)
        if mode.num_drawn is None or queries == domain.num_points:
            return queries
        return mode.num_drawn(domain, queries)

    def _draws_all(self, epoch: float) -> bool:
        before_start = self.schedule == "constant" and math.floor(epoch) < self.start_epoch
        return before_start or self.record_at(epoch).draws_all

    def __getstate__(self) -> dict[Any, Any]:
        """With the modules that register its modes, which a worker process imports."""
        return super().__getstate__() | {"modules": modules_of(name for m in self.modes for name in names_in(m))}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        import_modules(state.pop("modules", ()))
        super().__setstate__(state)


def as_sampling(value: QuerySampling | float) -> QuerySampling:
    """A sampling; a number is a ratio: `as_sampling(0.1)` is `QuerySampling(ratio=0.1)`.

    Raises:
        UpsDataError: neither, or a ratio out of (0, 1].
    """
    if isinstance(value, QuerySampling):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UpsDataError(f"sampling is {value!r}: give a QuerySampling, or a number, which is its ratio")
    if value > 1 and float(value).is_integer():
        raise UpsDataError(
            f"sampling={value} is a ratio above 1: for that many points give QuerySampling(num_queries={int(value)})"
        )
    return QuerySampling(ratio=float(value))
