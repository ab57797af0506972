"""The options of a loader that are about points: which are queried, which the encoder sees, how they are handed out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ups_data.loader.options.fields import option
from ups_data.sampling import QuerySampling, as_sampling

POINTS = "Which points"

Ragged = Literal["sample", "pad"]
Coords = Literal["unit", "common", "source"]
Sampling = QuerySampling | Mapping[str, QuerySampling]
Inputs = QuerySampling | Literal[False] | Mapping[str, QuerySampling | Literal[False]]


@dataclass(frozen=True, kw_only=True)
class PointOptions:
    """Which points a batch has; `LoaderOptions` has these options too."""

    sampling: Sampling = option(
        POINTS,
        "Which points of a frame are queried; if a dataset has several sets of points, a mapping set → sampling. A "
        "number is a ratio.",
        identity="apart",
    )
    inputs: Inputs | None = option(
        POINTS,
        "Which points the encoder sees, likewise. None: all of them, dense. False, for all sets or in the mapping for "
        "one: none, and nothing is read for it.",
        None,
        identity="apart",
    )
    input_queries: bool = option(POINTS, "Whether to draw points of the input frame too.", True, identity="always")
    lattice_queries: bool = option(
        POINTS,
        "Whether to draw a coarse grid for the inverse-decoding loss; needs a grid.",
        False,
        identity="always",
    )
    input_stride: int = option(
        POINTS,
        "The encoder sees every s-th point of a grid along each axis; queries come from all points.",
        1,
        least=1,
        identity="always",
    )
    coords: Coords | None = option(
        POINTS,
        "How a point set's coordinates are handed out. 'unit': from 0 to 1 along the longest side of the set's box in "
        "the training split, the other axes by the same factor, so that shapes keep their form and units do not "
        "matter; 'common': likewise with one box around all sets of the dataset, so that points of different sets keep "
        "their distances; 'source': as they are stored. None: 'unit', or 'source' for a dataset that was written "
        "without boxes. `QuerySet.source_coords` is the inverse. A grid's coordinates always run from 0 to "
        "1 along each axis.",
        None,
        choices=Coords,
        identity="changed",
    )
    ragged: Ragged = option(
        POINTS,
        "If trajectories have different numbers of points: 'sample' draws as many queries of each as of the smallest; "
        "'pad' draws each one's own share, in rows padded to the longest, with a mask.",
        "sample",
        choices=Ragged,
        identity="always",
    )


def read_samplings(value: Any) -> Any:
    """A number as a ratio, a mapping of `QuerySampling`'s options as one; those of a mapping of sets likewise."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return as_sampling(value)
    if isinstance(value, Mapping) and value and set(value) <= set(QuerySampling.model_fields):
        return QuerySampling(**value)
    if isinstance(value, Mapping):
        return {name: read_samplings(of_set) for name, of_set in value.items()}
    return value
