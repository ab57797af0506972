"""Files of torch.save: tensors as arrays that lie in the file, and nothing that could run code."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError
from ups_data.sources.limits import BELIEVED, check_holes
from ups_data.sources.options import DEFAULTS, SourceOptions
from ups_data.sources.plain.archive import ERRORS, archive_of, damaged
from ups_data.sources.plain.array import FileArray, HeldArray
from ups_data.sources.torch.pickles import StrangeTensor, read_tensors

Array = FileArray | HeldArray
WHAT = "a file of torch.save"


def load(path: Path, options: SourceOptions = DEFAULTS) -> Any:
    """What the file holds: containers, numbers, and tensors as arrays that are read when they are sliced.

    Files from before torch 1.6, which are no zip archives, are read whole by torch.

    Raises:
        UpsDataError: it needs unpickling of more than tensors and plain containers, or is damaged.
    """
    try:
        if not zipfile.is_zipfile(path):
            check_holes(path, options.expansion)
            return _load_old(path)
        with archive_of(path, WHAT, options) as archive:
            if any(info.file_size > BELIEVED for info in archive.infolist() if info.filename.endswith("/data.pkl")):
                raise ValueError("its pickle is longer than any that torch.save writes")
            return read_tensors(path, archive)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())[:100]
        raise UpsDataError(
            f"{path}: needs unpickling of more than tensors and plain containers, which could run code and is refused: "
            f"save a dict of tensors from the program that made it ({reason})"
        ) from error


def _load_old(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            # that the file's pickle protocol is unusual is no news to the user of a file that loads, or is refused
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return _held(torch.load(file, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError:
        raise
    except (*ERRORS, AssertionError, AttributeError, ImportError, LookupError, TypeError, MemoryError) as error:
        raise damaged(path, WHAT, error) from error


def _held(loaded: Any) -> Any:
    """The same with arrays instead of tensors."""
    import torch

    if isinstance(loaded, torch.Tensor):
        if loaded.dtype is torch.bfloat16 or loaded.layout is not torch.strided:
            return StrangeTensor(str(loaded.dtype))
        return HeldArray(loaded.detach().numpy())
    if isinstance(loaded, dict):
        return {name: _held(value) for name, value in loaded.items()}
    return [_held(value) for value in loaded] if isinstance(loaded, list) else loaded


def arrays(path: Path, loaded: Mapping[Any, Any]) -> dict[str, Array]:
    """The tensors among a dict's values; other values are left out.

    Raises:
        UpsDataError: a tensor of a dtype that NumPy does not have (bfloat16).
    """
    for name, value in loaded.items():
        if isinstance(value, StrangeTensor):
            raise UpsDataError(
                f"{path}: {name} is a tensor of {value.dtype} that NumPy does not have: save it as float32"
            )
    return {str(name): value for name, value in loaded.items() if isinstance(value, FileArray | HeldArray)}


def number_of(array: Array) -> float:
    """Of an array of one element."""
    return float(np.asarray(array.whole()).reshape(()))


def kind_of(value: Any) -> str:
    """What a loaded value is, in words."""
    return "Tensor" if isinstance(value, FileArray | HeldArray | StrangeTensor) else type(value).__name__
