"""The sizes of the reference model, as a configuration gives them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelConfig(Section):
    """Sizes: token width, tokens per axis (null: by the number of axes), operator blocks, attention heads."""

    dim: Count = 64
    tokens: Count | list[Count] | None = None
    depth: Natural = 2
    heads: Count = 4
