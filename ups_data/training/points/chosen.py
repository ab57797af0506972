"""Ratio and mode that a run chose for itself, as its history has them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ups_data.models.config import Count, Natural


class Chosen(BaseModel):
    """What holds from the beginning of an epoch on.

    Attributes:
        batch_size: samples of a step, which stays as it is configured.
        queries: of a sample.
        gain: progress per second ÷ that of a step on all points, by the noise measured.
        reason: in words.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: Natural
    batch_size: Count
    ratio: Annotated[float, Field(gt=0, le=1)]
    mode: str
    queries: Count
    gain: float
    reason: str
