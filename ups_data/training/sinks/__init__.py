"""Where a run's numbers go: sinks, functions of (step, values).

`docs/add-a-sink.md` writes one.
"""

from ups_data.training.sinks.console import ConsoleSink
from ups_data.training.sinks.csv_file import CsvSink
from ups_data.training.sinks.sink import Sink, pictures, scalars
from ups_data.training.sinks.tensorboard import TensorBoardSink
from ups_data.training.sinks.weights_and_biases import WandbSink

__all__ = ["ConsoleSink", "CsvSink", "Sink", "TensorBoardSink", "WandbSink", "pictures", "scalars"]
