"""Files of torch.save: tensors as arrays over the mapped file, and nothing that could run code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_data.errors import UpsDataError


def load(path: Path) -> Any:
    """What the file holds; its tensors are mapped, not read, unless it is older than torch 1.6.

    Raises:
        UpsDataError: it needs unpickling of more than tensors and plain containers, or is damaged.
    """
    import pickle
    import warnings
    import zipfile

    import torch

    try:
        with warnings.catch_warnings():
            # that the file's pickle protocol is unusual is no news to the user of a file that loads, or is refused
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            # files from before torch 1.6 are no zip archives and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UpsDataError(
            f"{path}: needs unpickling of more than tensors and plain containers, which could run code and is refused: "
            "save a dict of tensors from the program that made it"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UpsDataError(
            f"{path}: cannot be read by torch.load, it is truncated or damaged: download or copy it again ({reason})"
        ) from error


def arrays(path: Path, loaded: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """The tensors among a dict's values, as views of the mapped file; other values are left out.

    Raises:
        UpsDataError: a tensor of a dtype that NumPy does not have (bfloat16).
    """
    import torch

    return {str(name): _array(path, name, value) for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _array(path: Path, name: Any, tensor: Any) -> np.ndarray:
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise UpsDataError(
            f"{path}: {name} is a tensor of {tensor.dtype} that NumPy does not have: save it as float32"
        ) from error
