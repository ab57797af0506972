"""One page that shows a run: what it reached, how it got there, with which settings, on which data."""

from ups_data.training.report.page import write_report

__all__ = ["write_report"]
