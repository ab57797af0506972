"""Losses that `torch.compile` has made faster, and what it needs."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ups_data.errors import UpsDataError
from ups_data.training.config import TrainingConfig
from ups_data.training.sinks.named import check_packages

OTHERWISE = "or leave training.compile false"


def check_needs(settings: TrainingConfig, device: torch.device) -> None:
    """Refuse a run before it writes anything, if what its settings need is not there.

    Raises:
        UpsDataError: one line that says what to install.
    """
    check_packages(settings)
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # as torch looks for it
    if settings.compile and device.type == "cpu" and shutil.which(compiler) is None:
        raise UpsDataError(
            f"training.compile needs a C++ compiler, and there is no {compiler}: install one, name another in the "
            f"environment variable CXX, {OTHERWISE}"
        )


class Compiled(nn.Module):
    """A module whose forward pass is compiled when it is first called, for tensors of changing sizes.

    The first call compiles for the sizes that it sees. A size that is another one later is from then on any size, so
    there are few compilations, however the numbers of points change. Random numbers are those of an uncompiled module.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        module.compile(options={"fallback_random": True})

    def forward(self, *args: Any) -> Any:
        """What the module gives.

        Raises:
            UpsDataError: torch cannot compile it.
        """
        with told_if_not_compiled():
            return self.module(*args)


@contextmanager
def told_if_not_compiled() -> Iterator[None]:
    """A forward pass, or the backward pass of what it gave, which is compiled as late as it is needed.

    Raises:
        UpsDataError: torch cannot compile it.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second that runs without compilation do not wait for

    try:
        yield
    except TorchDynamoException as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_*")
        remedy = f"if the file is one of {folder}, a process was killed there: remove that folder"
        told = f"training.compile: torch cannot compile the model's losses ({reason}): "
        raise UpsDataError(told + (remedy if ".so" in reason else f"mend them, {OTHERWISE}")) from error
