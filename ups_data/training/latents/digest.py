"""Which encoder made a latent, and of which dataset's frames."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.training.config import DataConfig

# Options of the data on which the frame that an encoder sees depends.
SEEN = ("input_fields", "input_steps", "input_stride", "inputs", "coords")
DRAWN = ("seed", "ragged")  # if points are drawn for it
OF_STEPS = ("dt_stride",)  # if it sees several frames


def encoder_parts(model: nn.Module) -> tuple[str, ...]:
    """The submodules that a model's `encode` uses.

    Raises:
        UpsDataError: the model does not encode, or does not say by what.
    """
    missing = [name for name in ("encode", "decode", "encoder_parts") if not callable(getattr(type(model), name, None))]
    if missing:
        kind = type(model).__name__
        raise UpsDataError(
            f"{kind} has no method {missing[0]}, which latents need: see `ups_data.models.protocol.Model`"
        )
    ask: Any = model
    return tuple(ask.encoder_parts())


def encoder_digest(model: nn.Module, data: DataConfig) -> str:
    """SHA-256 of the encoder's weights and buffers, and of the options that decide what it sees; in hexadecimal.

        encoder_digest(model, config.data)  # "5f0c…", the name of the folder of its latents

    Raises:
        UpsDataError: the model does not say which of its parts encode.
    """
    parts = encoder_parts(model)
    names = [*SEEN, *(DRAWN if data.inputs is not None else ()), *(OF_STEPS if data.input_steps > 1 else ())]
    options = {name: _plain(getattr(data, name, None)) for name in names}
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.split(".")[0] in parts:
            array = np.ascontiguousarray(tensor.detach().cpu().numpy())
            digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def dataset_digest(manifest: Manifest) -> str:
    """SHA-256 of the shards' digests, in hexadecimal: of all that the dataset holds."""
    shards = {name: [shard.digest for shard in split.shards] for name, split in manifest.splits.items()}
    return hashlib.sha256(json.dumps(shards, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return {str(name): _plain(of_set) for name, of_set in value.items()}
    return list(value) if isinstance(value, tuple) else value
