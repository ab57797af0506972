import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

_Buffers = list[Buffer] | list[NDArray[np.generic]]  # mypy takes no array for a buffer

class Map:
    def __init__(self, file: int, size: int) -> None: ...
    @property
    def faults(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def stack(
    buffers: _Buffers, buffer: NDArray[np.int64], offset: NDArray[np.int64], size: int, out: NDArray[np.uint8]
) -> None: ...
def stack_widened(
    buffers: _Buffers, buffer: NDArray[np.int64], offset: NDArray[np.int64], count: int, out: NDArray[np.int64]
) -> None: ...
def stack_scaled(
    buffers: _Buffers,
    buffer: NDArray[np.int64],
    offset: NDArray[np.int64],
    points: int,
    low: NDArray[np.float32],
    scale: float,
    out: NDArray[np.float32],
) -> None: ...
def scale(low: NDArray[np.float32], scale: float, out: NDArray[np.float32]) -> None: ...
def take(
    buffers: _Buffers,
    buffer: NDArray[np.int64],
    offset: NDArray[np.int64],
    points: int,
    index: NDArray[np.int64],
    size: int,
    out: NDArray[np.uint8],
) -> None: ...
def restore(
    buffers: _Buffers,
    buffer: NDArray[np.int64],
    offset: NDArray[np.int64],
    points: int,
    rank: NDArray[np.int16] | NDArray[np.int32],
    runs: NDArray[np.int64],
    place: NDArray[np.int64],
    length: NDArray[np.int64],
    size: int,
    out: NDArray[np.uint8],
) -> None: ...
def fill_bits(keys: NDArray[np.uint64], counter: int, out: NDArray[np.uint64]) -> None: ...
def fill_integers(
    keys: NDArray[np.uint64], counter: int, width: int, bound: NDArray[np.uint64], out: NDArray[np.uint64]
) -> None: ...
def fill_strata(
    keys: NDArray[np.uint64],
    counter: int,
    width: int,
    begin: NDArray[np.int64],
    shift: NDArray[np.int64],
    curve: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None: ...
def fill_blocks(
    keys: NDArray[np.uint64],
    points: int,
    held: NDArray[np.int32] | None,
    total: int,
    blocks: NDArray[np.int64],
    slots: NDArray[np.int64] | None,
    index: NDArray[np.int64] | None,
) -> None: ...
def decode_lz4(
    buffers: _Buffers,
    buffer: NDArray[np.int64],
    offset: NDArray[np.int64],
    length: NDArray[np.int64],
    outs: list[NDArray[np.uint8]],
    out: NDArray[np.int64],
    place: NDArray[np.int64],
    size: int,
    past: bool = False,
) -> int: ...
def moments(
    values: NDArray[np.uint8], less: NDArray[np.uint8] | None, doubles: bool, out: NDArray[np.float64]
) -> bool: ...

MOST_CHANNELS: int
