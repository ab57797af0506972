"""Where a run's numbers go: sinks, functions of (step, values).

`docs/add-a-sink.md` writes one.
"""

from ups_data.training.sinks.console import ConsoleSink
from ups_data.training.sinks.csv_file import CsvSink
from ups_data.training.sinks.sink import Sink, scalars

__all__ = ["ConsoleSink", "CsvSink", "Sink", "scalars"]
