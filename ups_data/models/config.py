"""Which model, and of what size, as a configuration gives it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Depth = Annotated[int, Field(ge=0, le=1000)]  # each block takes time as it is made, however small
Frequency = Annotated[float, Field(gt=0)]

REFERENCE = "ups_data.models.reference:build"  # the target of the built-in model
SIZES = ("dim", "tokens", "depth", "heads", "supernodes", "neighbours", "radius", "encode", "finest")


class Section(BaseModel):
    """A part of a configuration: keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelConfig(Section):
    """The built-in model's sizes, or the name of another model with its options.

    Attributes:
        dim, tokens, depth, heads: of the built-in model: token width, tokens (of grids: per axis; null: by the number
            of axes, 32 for points), operator blocks, attention heads.
        supernodes: of the built-in model for points: points that gather their neighbours, of each set, or set → number;
            null: 128.
        neighbours, radius: of a supernode: so many of its nearest points, and of those only the ones within a radius.
        encode: names of the sets of points that the encoder sees; null: those with input fields, or else all.
        finest: of the built-in model for points: the highest frequency of coordinates, in cycles over the longest side
            of a set's box, or set → frequency.
        target: the function that builds the model, "package.module:function", see `models.protocol.Model`.
        options: what that function gets. Those of the built-in model may be given here as well.
    """

    dim: Count = 64
    tokens: Count | list[Count] | None = None
    depth: Depth = 2
    heads: Count = 4
    supernodes: Count | dict[str, Count] | None = None
    neighbours: Count = 16
    radius: Annotated[float, Field(gt=0)] | None = None
    encode: list[str] | None = None
    finest: Frequency | dict[str, Frequency] = 32.0
    target: Annotated[str, Field(pattern=r"^[^\s:]+:[^\s:]+$")] = REFERENCE
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_reference(self) -> bool:
        """Whether the built-in model is meant."""
        return self.target == REFERENCE

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_reference(cls, values: Any) -> Any:
        """Sizes of the built-in model that were given as options, where they belong."""
        options = values.get("options") if isinstance(values, dict) else None
        if not options or not isinstance(options, dict) or values.get("target", REFERENCE) != REFERENCE:
            return values
        return {**{k: v for k, v in values.items() if k != "options"}, **options}

    @model_validator(mode="after")
    def _sizes_are_the_reference_s(self) -> "ModelConfig":
        given = [name for name in SIZES if getattr(self, name) != ModelConfig.model_fields[name].default]
        if given and not self.is_reference:
            raise ValueError(
                f"model.{given[0]} is a size of the built-in model, and model.target is {self.target}: give "
                f"model.options.{given[0]} instead"
            )
        return self

    @property
    def least_parameters(self) -> int:
        """Of the built-in model, of which its operator's blocks have most: what a configuration claims, at least."""
        return 4 * self.depth * self.dim**2 if self.is_reference else 0

    def to_options(self) -> dict[str, Any]:
        """What the target is called with."""
        return {name: getattr(self, name) for name in SIZES} if self.is_reference else self.options
