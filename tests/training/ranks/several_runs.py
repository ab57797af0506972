"""What every rank of a test runs: several trainings, one after the other. Argument: a JSON file of configurations.

Rank 0 writes beside it, for each, the error or None.
"""

import json
import sys
from pathlib import Path

import torch
from torch import distributed

from tests.training.runs import QUIET
from ups_data import UpsDataError
from ups_data.training.config import TrainConfig
from ups_data.training.loop import train


def main(path: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    errors: list[str | None] = []
    for values in json.loads(path.read_text()):
        try:
            train(TrainConfig.model_validate(values), console=QUIET)
            errors.append(None)
        except UpsDataError as error:
            errors.append(f"{type(error).__name__}: {error}")
    path.with_suffix(f".{distributed.get_rank()}").write_text(json.dumps(errors))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
