"""The rule that options name."""

from pathlib import Path

from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.conversion.splitting.by_param import ByParam
from ups_data.conversion.splitting.by_region import ByRegion
from ups_data.conversion.splitting.by_time import ByTime
from ups_data.errors import UpsDataError


def rule_of(
    source: Path,
    *,
    time: str | None = None,
    region: str | None = None,
    param: tuple[str, str] | None = None,
    file: Path | None = None,
    gap: str | None = None,
) -> SplitRule | None:
    """The one rule that is given; None: none is.

    Raises:
        UpsDataError: several are, a gap without what it is between, or the rule is not written as it must be.
    """
    given = {"--split-time": time, "--split-region": region, "--split-param": param, "--splits": file}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise UpsDataError(f"{' and '.join(named)}: choose one of them")
    if gap is not None and named in ([], ["--splits"]):
        raise UpsDataError("--split-gap: goes with --split-time, --split-region or --split-param")
    rule: SplitRule | None = None
    if time is not None:
        rule = ByTime(time, gap or "")
    elif region is not None:
        rule = ByRegion(region, gap or "")
    elif param is not None:
        rule = ByParam(*param, gap or "")
    elif file is not None:
        rule = ByFile(file, source)
    if rule is not None:
        rule.names  # noqa: B018  # what is not written as it must be is said before the source is opened
    return rule
