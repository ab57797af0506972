"""The pickle inside a file of torch.save, read without torch: tensors become arrays that lie in the file.

Nothing that a file names is called. The names of tensors, storages and plain containers stand for the constructors
below; every other name is refused before anything is made of it. Storages are not read.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ups_data.errors import UpsDataError
from ups_data.sources.limits import check_claim, claimed_bytes
from ups_data.sources.plain.archive import check_member, data_offset
from ups_data.sources.plain.array import FileArray

# storage in torch → dtype in NumPy, None where it has none
_STORAGES: dict[str, str | None] = {
    **{"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": None},
    **{"LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1"},
    **{"BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"},
}
_NAMES = {"BFloat16Storage": "torch.bfloat16"}


@dataclass(frozen=True)
class StrangeTensor:
    """A tensor that NumPy has no dtype for."""

    dtype: str


class _Call:
    """Something that the pickle may call. Without attributes of its own: a pickle may also set attributes."""

    __slots__ = ("_function",)

    _function: Any

    def __init__(self, function: Any) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("sets an attribute")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


@dataclass(frozen=True, slots=True)
class _Storage:
    name: str
    dtype: str | None
    path: Path
    member: str
    offset: int
    bytes: int


class Tensors(pickle.Unpickler):
    """Reads one `data.pkl`.

    Raises:
        pickle.UnpicklingError: the file names anything but tensors and plain containers.
    """

    def __init__(self, path: Path, pickled: bytes, members: Mapping[str, zipfile.ZipInfo], order: str) -> None:
        super().__init__(io.BytesIO(pickled), encoding="utf-8")
        self._path, self._members, self._order = path, members, order

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the file stands for: what makes tensors and plain containers, and nothing else."""
        if (module, name) == ("collections", "OrderedDict"):
            return _Call(lambda *pairs: dict(*pairs))
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _Call(_tensor)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Call(lambda tensor, *_: tensor)
        if (module, name) == ("torch", "Size"):
            return _Call(lambda *sizes: tuple(*sizes))
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return name  # stands for itself in the identity of a storage
        raise pickle.UnpicklingError(f"names {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """`("storage", type, key, device, elements)`."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and pid[1] in _STORAGES):
            raise pickle.UnpicklingError("names a storage of an unknown kind")
        _, kind, key, _, _ = pid
        info = self._members.get(str(key))
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise EOFError(f"the storage {str(key)[:20]!r} is missing")
        dtype = _STORAGES[kind]
        offset = data_offset(self._path, info)
        return _Storage(kind, dtype and self._order + dtype, self._path, info.filename, offset, info.file_size)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> FileArray | StrangeTensor:
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else ("",)
    if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise pickle.UnpicklingError("a tensor without a storage")
    if storage.dtype is None:
        return StrangeTensor(_NAMES[storage.name])
    if len(size) != len(stride):
        raise ValueError("a tensor whose size and strides differ")
    item = FileArray(storage.path, storage.dtype, (), 0).dtype.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else offset - 1
    if (last + 1) * item > storage.bytes:
        raise EOFError(f"a tensor of size {size} in {storage.bytes:,} bytes")
    check_claim(storage.path, f"a tensor of size {size}", claimed_bytes(size, storage.dtype), storage.bytes)
    check = partial(check_member, storage.path, storage.member)
    return FileArray(storage.path, storage.dtype, size, storage.offset + offset * item, stride, check)


def read_tensors(path: Path, archive: zipfile.ZipFile) -> Any:
    """What a file of torch.save holds, its tensors as `FileArray`.

    Raises:
        UpsDataError: a tensor is much larger than its storage.
        pickle.UnpicklingError: more than tensors and plain containers would be needed.
        EOFError, ValueError …: it is damaged.
    """
    names = archive.namelist()
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"it holds {len(pickles) or 'no'} data.pkl, one is expected")
    root = pickles[0].removesuffix("data.pkl")
    order = archive.read(f"{root}byteorder") if f"{root}byteorder" in names else b"little"
    data = {n.removeprefix(f"{root}data/"): archive.getinfo(n) for n in names if n.startswith(f"{root}data/")}
    try:
        return Tensors(path, archive.read(f"{root}data.pkl"), data, ">" if order.strip() == b"big" else "<").load()
    except (pickle.UnpicklingError, UpsDataError):
        raise
    except (AttributeError, ImportError, IndexError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"its pickle is damaged, {type(error).__name__}: {error}") from error
