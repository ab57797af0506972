"""The keys of a configuration that are about points: `training.query_…` and `training.importance_…`."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ups_data.models.config import Count, Natural, Section
from ups_data.sampling import QuerySampling

AUTO = "auto"
FREE_MODES = ("uniform", "random")  # with them `auto` chooses the mode too: the default, and its alias
AGAIN = (1 / 8, 1 / 4, 1 / 2)  # parts of a run after which `auto` measures again: noise grows most at the beginning


class PointKeys(Section):
    """The points of a training step.

    Attributes:
        query_sample_ratio: queries ÷ points; 1.0, the default, trains on the full grid. `auto`: the noise of the
            model's gradient is measured before the first step, and what pays best is taken; with the mode `uniform`,
            the default, the mode too. The batch size stays.
        query_auto_epochs: epochs before which `auto` measures again; null, the default: an eighth, a quarter and a half
            into the run. [] for none.
        query_sampling_mode: `random` is an alias of `uniform`; a mapping is a mixture, {stratified: 0.7, uniform: 0.3}.
        query_mode_schedule: first epoch → mode, {20: importance}; `query_sampling_mode` holds before the first.
        query_sampling_schedule: with another than `constant`, the ratio goes from `query_sample_start_ratio` (default
            1.0) at `query_sample_start_epoch` to `query_sample_end_ratio` (default `query_sample_ratio`) at the last.
            A constant ratio holds from `query_sample_start_epoch` on; before it, every point is drawn.
        query_schedule_unit: `epoch`, or `step`: the ratio moves on with every step.
        query_schedule_jumps: of the schedule `step`.
        query_multiple: the number of queries is rounded to a multiple of this.
        query_off_grid: queries at random places between the grid's points.
        query_cycle: no point is drawn again before every point has been: see `QuerySampling.cycle`.
        query_measure: `count`, the loss estimates a mean over points; `volume`: over the domain, by the sizes of cells.
        importance_metric, importance_window, importance_floor, importance_decay, importance_shared: of the mode
            `importance`; see `QuerySampling`, whose defaults they have.
    """

    query_sample_ratio: float | Literal["auto"] = 1.0
    query_auto_epochs: list[Natural] | None = None
    query_sampling_schedule: str = "constant"
    query_sample_start_ratio: float | None = None
    query_sample_end_ratio: float | None = None
    query_sample_start_epoch: Natural = 0
    query_sampling_mode: str | dict[str, float] = "uniform"
    query_mode_schedule: dict[Natural, str | dict[str, float]] | None = None
    query_schedule_unit: Literal["epoch", "step"] = "epoch"
    query_schedule_jumps: Count = 4
    query_multiple: Count = 1
    query_off_grid: bool = False
    query_cycle: bool = False
    query_measure: Literal["count", "volume"] = "count"
    importance_metric: Literal["gradient", "variance", "volume", "error"] | None = None
    importance_window: Count | None = None
    importance_floor: Annotated[float, Field(gt=0)] | None = None
    importance_decay: Annotated[float, Field(ge=0)] | None = None
    importance_shared: bool | None = None

    @field_validator("query_sample_ratio", mode="before")
    @classmethod
    def _number_or_auto(cls, ratio: Any) -> Any:
        if isinstance(ratio, str) and ratio != AUTO:
            try:
                return float(ratio)
            except ValueError:
                raise ValueError("give a number above 0 and at most 1, or auto") from None
        return ratio

    @model_validator(mode="after")
    def _auto_is_free_to_choose(self) -> "PointKeys":
        if not self.chooses_points:
            if self.query_auto_epochs:
                raise ValueError("query_auto_epochs has no effect without query_sample_ratio=auto: leave it out")
            self.query_auto_epochs = None  # runs of earlier versions have [] here
            return self
        given = {
            "query_sampling_schedule": self.query_sampling_schedule != "constant",
            "query_mode_schedule": self.query_mode_schedule is not None,
            "a mixture as query_sampling_mode": isinstance(self.query_sampling_mode, dict),
            "importance_metric=error": self.importance_metric == "error",
        }
        for name, is_given in given.items():
            if is_given:
                raise ValueError(
                    f"query_sample_ratio=auto chooses the points, and does not go with {name}: leave it out"
                )
        return self

    @property
    def chooses_points(self) -> bool:
        """Whether ratio and mode follow from measured noise."""
        return self.query_sample_ratio == AUTO

    def auto_epochs(self, epochs: int) -> list[int]:
        """Epochs before which `auto` measures again.

        Args:
            epochs: of the run.
        """
        if self.query_auto_epochs is not None:
            return list(self.query_auto_epochs)
        return sorted({math.ceil(epochs * part) for part in AGAIN} - {epochs})

    def measured(self, ratio: float, mode: str) -> QuerySampling:
        """A constant ratio and a mode whose noise is measured, with the other keys as they are. A cycle is left out: it
        changes no single draw.

        Raises:
            UpsDataError: one line that names the option.
        """
        metric = None if self.importance_metric == "error" else self.importance_metric
        constant = {
            "query_sample_ratio": ratio,
            "query_sampling_mode": mode,
            "query_sampling_schedule": "constant",
            "query_sample_start_ratio": None,
            "query_sample_end_ratio": None,
            "query_mode_schedule": None,
            "query_sample_start_epoch": 0,
            "query_cycle": False,
            "importance_metric": metric,
        }
        return self.model_copy(update=constant).sampling_over(1)

    def sampling_over(self, epochs: int) -> QuerySampling:
        """The points of a training step; all of them for `auto`, for which they are not known yet.

        Args:
            epochs: of the run.

        Raises:
            UpsDataError: one line that names the option.
        """
        importance = ("metric", "window", "floor", "decay", "shared")
        given = {f"importance_{name}": getattr(self, f"importance_{name}") for name in importance}
        options: dict[str, Any] = {
            "mode": self.query_sampling_mode,
            "mode_schedule": self.query_mode_schedule,
            "schedule_unit": self.query_schedule_unit,
            "jumps": self.query_schedule_jumps,
            "query_multiple": self.query_multiple,
            "off_grid": self.query_off_grid,
            "cycle": self.query_cycle,
            "measure": self.query_measure,
            "start_epoch": self.query_sample_start_epoch,
            **{name: value for name, value in given.items() if value is not None},
        }
        start, end = self.query_sample_start_ratio, self.query_sample_end_ratio
        ratio = 1.0 if isinstance(self.query_sample_ratio, str) else self.query_sample_ratio
        if self.query_sampling_schedule == "constant":
            return QuerySampling(ratio=ratio, start_ratio=start, end_ratio=end, **options)
        schedule: Any = self.query_sampling_schedule
        return QuerySampling(
            schedule=schedule,
            start_ratio=1.0 if start is None else start,
            end_ratio=ratio if end is None else end,
            end_epoch=epochs - 1,
            **options,
        )
