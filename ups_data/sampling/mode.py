"""`Mode`: the record that describes a sampling mode, and `Request`, what its draw is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups_data.errors import UpsDataError
from ups_data.points.domain import Domain
from ups_data.points.tiles import Tiles
from ups_data.sampling.draw import Draw

Mixture = tuple[tuple[str, float], ...]  # (mode, share of the queries), the shares' sum is 1


@dataclass(frozen=True, eq=False)
class Request:
    """What a mode is asked to draw.

    Attributes:
        domain: the N points to choose from, the same for all B samples.
        keys: `(B,)` uint64, one per sample. A sample's points must depend on its own key only: take random numbers from
            `ups_data.sampling.random`.
        count: Q, the number of points wished for, 1 to N.
        importance: `(B, K)` importance per point of each tile, any scale; None unless the mode `needs_importance`.
        floor: share of the queries to spread evenly, in (0, 1]: `QuerySampling.importance_floor`.
    """

    domain: Domain
    keys: NDArray[np.uint64]
    count: int
    importance: NDArray[np.floating] | None = None
    floor: float = 0.1


@dataclass(frozen=True)
class Preferred:
    """What a mode that prefers some points contributes to a mixture.

    Attributes:
        place: `(B, Q)` int64, places on the domain's curve, without repeats.
        inclusion: `(B, K)`, π of the points of each tile.
        tiles: the K tiles.
    """

    place: NDArray[np.int64]
    inclusion: NDArray[np.float64]
    tiles: Tiles


@dataclass(frozen=True)
class Mode:
    """A sampling mode: how it draws, and what it needs.

    Nothing else asks which mode it is by name, so a mode defined elsewhere works like those of this package: see
    `register_mode`.

    Attributes:
        name: as in `QuerySampling(mode=…)`.
        draw: `Request` → `Draw`, a pure function of the request. It is not called if every point is wished for, unless
            the mode reads a part of the blocks.
        num_drawn: (domain, Q) → the number of points that come, if it differs from the number wished for.
        needs_grid: whether it draws from grids only.
        needs_coordinates: whether it looks where the points of a point set are; if it does not, they are not read.
        needs_blocks: whether it looks at how the points are stored.
        needs_importance: whether it looks at the importance of tiles.
        reads_part_of_blocks: whether its draws have `blocks` and `slots`, so that other blocks need not be read.
        draws_all: whether it always draws every point.
        forms_lattice: whether its points form a lattice, from which off-grid queries would take them.
        along_curve: whether its points come in the order of the domain's curve, so that neighbours in a row are
            neighbours in space; prefixes of `order="random"` are then as even as can be.
        equal_places: (keys, Q, M) → `(B, Q)` different places out of [0, M), each as likely as any other: how the mode
            takes part in mixtures. None: it does not, or it prefers some points.
        preferred_places: `Request` → `Preferred`: how a mode that looks at importance takes part in mixtures.
        window: (`Request`, w) → the draw of epoch w of a cycle of ceil(N / Q) epochs, in which every point comes once
            before any comes twice; the request's keys are those of the cycle. None: the mode does not draw so.
        aliases: other names of it.
        module: the module whose import registers it; worker processes import it. By default the one that defines
            `draw`.
    """

    name: str
    draw: Callable[[Request], Draw]
    num_drawn: Callable[[Domain, int], int] | None = None
    needs_grid: bool = False
    needs_coordinates: bool = False
    needs_blocks: bool = False
    needs_importance: bool = False
    reads_part_of_blocks: bool = False
    draws_all: bool = False
    forms_lattice: bool = False
    along_curve: bool = False
    equal_places: Callable[[NDArray[np.uint64], int, int], NDArray[np.int64]] | None = None
    preferred_places: Callable[[Request], Preferred] | None = None
    window: Callable[[Request, int], Draw] | None = None
    aliases: tuple[str, ...] = ()
    module: str = ""

    def __post_init__(self) -> None:
        if not self.module:
            object.__setattr__(self, "module", self.draw.__module__)

    @property
    def mixes(self) -> bool:
        """Whether it can be part of a mixture."""
        return self.equal_places is not None or self.preferred_places is not None

    def check(self, domain: Domain) -> None:
        """Refuse a domain that lacks what the mode needs.

        Raises:
            UpsDataError: one line.
        """
        if self.needs_grid and domain.grid_shape is None:
            raise UpsDataError(
                f"mode {self.name!r} needs a grid, and this domain is a set of points: use mode 'stratified'"
            )
        if self.needs_blocks and domain.blocks is None:
            raise UpsDataError(
                f"mode {self.name!r} needs a dataset that is stored in blocks, and this one was made with blocks=1: "
                "convert it again with --blocks, or use mode 'stratified'"
            )
