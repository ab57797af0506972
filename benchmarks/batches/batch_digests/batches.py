"""The digest of a batch: every tensor by its name, dtype, shape and bytes."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import torch

from ups_data import QueryBatch

# What a batch says beside its tensors.
SAID = ("epoch", "source", "set_name", "grid_shape")


def batch_digest(batch: QueryBatch) -> bytes:
    """SHA-256 of all tensors of a batch and of what it says."""
    digest = hashlib.sha256()
    for name, value in _entries("batch", batch):
        if isinstance(value, torch.Tensor):
            array = value.detach().contiguous().numpy()
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(array.tobytes())
        else:
            digest.update(f"{name} {value}\n".encode())
    return digest.digest()


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of the tensors, and of the attributes in SAID, in the order of their names."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if dataclasses.is_dataclass(value):
        entries = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif isinstance(value, dict):
        entries = value
    else:
        entries = {}
        if value is not None and name.rpartition(".")[2] in SAID:
            yield name, list(value) if isinstance(value, tuple) else value
    for key in sorted(entries):
        yield from _entries(f"{name}.{key}", entries[key])
