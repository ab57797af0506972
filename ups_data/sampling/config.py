"""`QuerySampling`: how many points are drawn, and how."""

import difflib
import math
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ups_data.errors import UpsDataError
from ups_data.sampling import schedule as schedules
from ups_data.sampling.domain import Domain
from ups_data.sampling.lattice import lattice_shape

Mode = Literal["full", "uniform", "stratified", "lattice", "blocks"]
ALIASES = {"random": "uniform"}


class QuerySampling(BaseModel):
    """How many of a frame's points are drawn, and how.

    Give one of `ratio`, `num_queries`, or a `schedule` with its start and end; with none of them every point is drawn.
    Ratio 1 (or as many queries as points, or mode `full`) means every point in row-major order with weight 1, whatever
    the mode.

    Attributes:
        ratio: queries ÷ points, in (0, 1].
        num_queries: queries per sample, where their number should not depend on N.
        mode: `full`, `uniform` (without replacement; alias `random`), `stratified` (one jittered point per tile),
            `lattice` (a randomly offset coarse grid), or `blocks` (whole stored blocks, so that only those are read).
        schedule: `constant`, `linear` or `cosine` in the epoch, from `start_ratio` at `start_epoch` to `end_ratio` at
            `end_epoch`.
        query_multiple: Q is rounded to the nearest multiple of this, so that compiled models see few shapes (`lattice`
            draws the grid nearest to that number).

    Raises:
        UpsDataError: one line that names the option, what is wrong with it and what to give instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ratio: float | None = None
    num_queries: int | None = None
    mode: Mode = "uniform"
    schedule: schedules.Schedule = "constant"
    start_ratio: float | None = None
    end_ratio: float | None = None
    start_epoch: int = 0
    end_epoch: int | None = None
    query_multiple: int = 1

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise UpsDataError(f"QuerySampling: {_one_line(error)}") from None

    @field_validator("mode", mode="before")
    @classmethod
    def _known_mode(cls, mode: Any) -> Any:
        return _known("mode", ALIASES.get(mode, mode) if isinstance(mode, str) else mode, get_args(Mode))

    @field_validator("schedule", mode="before")
    @classmethod
    def _known_schedule(cls, schedule: Any) -> Any:
        return _known("schedule", schedule, get_args(schedules.Schedule))

    @field_validator("ratio", "start_ratio", "end_ratio")
    @classmethod
    def _ratio_in_range(cls, ratio: float | None, info: Any) -> float | None:
        if ratio is not None and not 0 < ratio <= 1:
            raise ValueError(f"{info.field_name} is {ratio:g}: give a number above 0 and at most 1")
        return ratio

    @field_validator("num_queries", "query_multiple")
    @classmethod
    def _positive(cls, number: int | None, info: Any) -> int | None:
        if number is not None and number < 1:
            raise ValueError(f"{info.field_name} is {number}: give at least 1")
        return number

    @model_validator(mode="after")
    def _consistent(self) -> "QuerySampling":
        if self.ratio is not None and self.num_queries is not None:
            raise ValueError(f"ratio={self.ratio:g} and num_queries={self.num_queries} are both given: leave one out")
        ramp = {"start_ratio": self.start_ratio, "end_ratio": self.end_ratio, "end_epoch": self.end_epoch}
        if self.schedule == "constant":
            given = [name for name, value in ramp.items() if value is not None]
            if given:
                raise ValueError(f"{given[0]} has no effect on a constant schedule: set schedule to linear or cosine")
            return self
        missing = [name for name, value in ramp.items() if value is None]
        if missing:
            raise ValueError(f"schedule {self.schedule!r} needs {' and '.join(missing)}: give {_them(missing)}")
        for name in ("ratio", "num_queries"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} and schedule {self.schedule!r} are both given: leave {name} out")
        if self.end_epoch is not None and self.end_epoch < self.start_epoch:
            raise ValueError(f"end_epoch {self.end_epoch} is before start_epoch {self.start_epoch}: swap them")
        return self

    def ratio_at(self, epoch: int) -> float:
        """The ratio that one epoch asks for (before rounding to whole points).

        Raises:
            UpsDataError: where `num_queries` is given, so that the ratio depends on N: use `count`.
        """
        if self.mode == "full":
            return 1.0
        if self.num_queries is not None:
            raise UpsDataError("QuerySampling: num_queries is given, so there is no ratio: call count()")
        if self.start_ratio is None or self.end_ratio is None or self.end_epoch is None:
            return 1.0 if self.ratio is None else self.ratio
        return schedules.ratio_at(
            self.schedule, epoch, self.start_ratio, self.end_ratio, self.start_epoch, self.end_epoch
        )

    def count(self, num_points: int, epoch: int) -> int:
        """Q, the number of queries asked for: max(1, round(ratio · N)), exactly N at ratio 1.

        Rounded to the nearest multiple of `query_multiple`, at least one multiple and never above N. `lattice` may
        draw a few more or fewer: see `num_drawn`.

        Raises:
            UpsDataError: where more queries are asked for than there are points.
        """
        if self.mode == "full":
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

    def num_drawn(self, domain: Domain, epoch: int) -> int:
        """The number of points that `draw_queries` returns per sample."""
        queries = self.count(domain.num_points, epoch)
        if self.mode == "lattice" and queries < domain.num_points:
            return math.prod(lattice_shape(domain, queries))
        return queries


def _known(option: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value in allowed:
        return value
    near = difflib.get_close_matches(str(value), [*allowed, *ALIASES] if option == "mode" else allowed, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{option} {value!r} is not known: {hint}Give one of {', '.join(allowed)}")


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _one_line(error: ValidationError) -> str:
    """The first complaint of pydantic's, in one line and in the user's words."""
    first = error.errors()[0]
    option = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(option, QuerySampling.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"options are {', '.join(QuerySampling.model_fields)}"
        return f"option {option!r} is not known: {hint}"
    return f"{option} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
