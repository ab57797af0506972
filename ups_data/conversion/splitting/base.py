"""What every rule of splits is."""

from abc import ABC, abstractmethod
from typing import Any

from ups_data.conversion.splitting.cutting.parts import Part
from ups_data.trajectory import Trajectory


class SplitRule(ABC):
    """How runs are dealt to splits, as one of `ByTime`, `ByRegion`, `ByParam`, `ByFile`."""

    option: str  # of the command
    overrides = False  # whether it may be given where the source brings its own splits

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The splits, in the order in which they were named."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """By which a conversion is told from another one; `words` for people."""

    @abstractmethod
    def parts(self, number: int, run: Trajectory) -> list[Part]:
        """The parts of a run in time's order, each of one split; [] where no split takes anything of it."""

    @abstractmethod
    def words(self) -> str:
        """As it was given, for people."""

    def finish(self, source: str) -> None:  # noqa: B027  # most rules have nothing to say
        """After the last run.

        Raises:
            UpsDataError: something was named that is not there.
        """
