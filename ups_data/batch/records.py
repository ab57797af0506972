"""Dataclasses of tensors: what is done with all tensors of one, however deep they lie, and how one is printed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from torch import Tensor

_T = TypeVar("_T")
Errors = Tensor | Mapping[str, Tensor]  # of target queries; set of points → errors where a batch has several


class Record:
    """A dataclass of tensors, of dicts of tensors and of other records. It prints as shapes, not as numbers."""

    def summary(self) -> str:
        """What it is, in a few words."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}: {self.summary()}", *(f"  {line}" for line in _lines(self))])


def split_tensors(value: Any, sizes: list[int], size: int) -> Sequence[Any]:
    """Structures of dataclasses and dicts, one for each of `sizes`, with the rows of tensors of `size` dealt out."""
    if isinstance(value, Tensor) and value.shape[0] == size:
        return value.split(sizes)
    if isinstance(value, dict):
        dicts: list[dict[str, Any]] = [{} for _ in sizes]
        for name, entry in value.items():
            for part, of_part in zip(dicts, split_tensors(entry, sizes, size), strict=True):
                part[name] = of_part
        return dicts
    if isinstance(value, Record):
        # Not by the constructor: that of a frozen dataclass costs more than all views of a batch.
        made = [object.__new__(type(value)) for _ in sizes]
        attributes = [batch.__dict__ for batch in made]
        for field_name, attribute in vars(value).items():
            for of_batch, part in zip(attributes, split_tensors(attribute, sizes, size), strict=True):
                of_batch[field_name] = part
        return made
    return [value] * len(sizes)


def map_tensors(value: _T, f: Callable[[Tensor], Tensor]) -> _T:
    """The same structure of dataclasses and dicts with `f` applied to every tensor."""
    result: Any = value
    if isinstance(value, Tensor):
        result = f(value)
    elif isinstance(value, dict):
        result = {k: map_tensors(v, f) for k, v in value.items()}
    elif isinstance(value, Record):
        result = type(value)(**{name: map_tensors(v, f) for name, v in vars(value).items()})
    return result


def _lines(value: "Record") -> Iterator[str]:
    for field in fields(value):  # type: ignore[arg-type]
        yield from _entry(field.name, getattr(value, field.name))


def _entry(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Tensor):
        where = "" if value.device.type == "cpu" else f" on {value.device}"
        dtype = str(value.dtype).removeprefix("torch.")
        yield f"{name}: ({', '.join(map(str, value.shape))}) {dtype}{where}"
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _entry(f"{name}[{key!r}]", entry)
    elif isinstance(value, Record):
        yield f"{name}: {value.summary()}"
        yield from (f"  {line}" for line in _lines(value))
