"""`WriteOptions`: every option of what is written, once: its default, its check, its documentation.

`ShardWriter`, `convert`, the identity of a conversion and the command `ups-data convert` are made of this record. A new
field here is a new keyword argument, a new option of the command, and a new part of the identity. Nothing heavy is
imported: the command's help is made of it too.
"""

import dataclasses
import inspect
import math
import operator
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ups_data.errors import UpsDataError

F = TypeVar("F", bound=Callable[..., Any])
MOST_FLOAT32 = 3.4028234e38
LATER = {"pack", "mask", "mask_nan", "mask_fill"}  # options that are a part of the identity only if they are given
WIDEST = 2**63 - 1  # of an integer


def option(doc: str, default: Any, *, least: int | None = None, choices: tuple[str | None, ...] | None = None) -> Any:
    """A field of `WriteOptions`.

    Args:
        doc: what it means.
        least: of an integer.
        choices: the values that are allowed.
    """
    return field(default=default, metadata={"doc": doc, "least": least, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How trajectories are stored.

        options = WriteOptions(blocks=64, codec="lz4")
        with ShardWriter("data/run", options) as writer: ...
        convert("runs.h5", "data/run", options, workers=2)

    Raises:
        UpsDataError: a value is not allowed; the message names the option and what to give.
    """

    codec: str = option(
        '"none", "lz4" or "zstd". Every chunk carries a crc32c.', "none", choices=("none", "lz4", "zstd")
    )
    cast: str | None = option(
        'Store every field as "float32" or "float16". None: a field is stored if one of these holds its dtype exactly, '
        "and refused otherwise.",
        None,
        choices=(None, "float32", "float16"),
    )
    blocks: int = option(
        "B, the number of blocks that every frame is stored in, each a stratified sample of its points; 1: frames are "
        "stored whole, in the order given. A grid of d axes takes B = s^d. If trajectories have different numbers of "
        "points, B is that of the first one; the others get as many blocks of the same size as they need.",
        1,
        least=1,
    )
    seed: int = option("Of the random deal of points to blocks, and of a conversion's splits.", 0, least=-WIDEST - 1)
    allow_nonfinite: bool = option(
        "Keep NaN and Inf, and count them in the statistics, instead of refusing them.", False
    )
    mask: str | None = option(
        "A variable of the source that says which points count: those where it is neither 0 nor NaN; with ! before its "
        "name, those where it is 0. It is constant or changes in time, and is not stored as a field. Points that do "
        "not count are never drawn, and are in no statistic and no loss.",
        None,
    )
    mask_nan: bool = option("Points where a field is NaN do not count; instead of refusing them.", False)
    mask_fill: float = option("What every field holds at points that do not count.", 0.0)
    importance: Sequence[str] = option(
        "Metrics, of gradient and variance, by which the importance of every frame's tiles is stored. The sampling "
        "mode `importance` draws by it.",
        (),
    )
    pack: bool = option(
        "Store fields of one kind side by side as channels of one array, a point set's coordinates and the numbers of "
        "its points beside them: a draw then takes one request of a store where it would take one for each of them. "
        "Coordinates of points that stay are stored again with every frame.",
        False,
    )
    shard_bytes: int = option(
        "A shard is closed once it holds this many decoded bytes. A trajectory lies in one shard.",
        512 * 1024**2,
        least=1,
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _checked(spec, getattr(self, spec.name)))

    @property
    def keeps_nan(self) -> bool:
        """Whether NaN stays in fields as it is."""
        return self.allow_nonfinite and not self.mask_nan

    def identity(self) -> dict[str, Any]:
        """Every option, as the identity of a conversion holds it: it decides over bytes. Those that came later only if
        they are given: conversions that were begun without knowing of them go on."""
        found = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        defaults = {spec.name: spec.default for spec in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if name not in LATER or value != defaults[name]}


def collected(options: WriteOptions | None, given: Mapping[str, Any], *, caller: str) -> WriteOptions:
    """The record that a call's arguments make.

    Args:
        options: a record to begin with.
        given: keyword arguments, which win.
        caller: whose they are, for errors.

    Raises:
        TypeError: an unknown keyword argument.
        UpsDataError: a value is not allowed.
    """
    known = {spec.name for spec in dataclasses.fields(WriteOptions)}
    if unknown := [name for name in given if name not in known]:
        raise TypeError(f"{caller}() got an unexpected keyword argument {unknown[0]!r}")
    return dataclasses.replace(options or WriteOptions(), **given)


def takes_options(target: F) -> F:
    """Write the options into the documentation and the signature of a function or a class that takes them as keyword
    arguments."""
    specs = dataclasses.fields(WriteOptions)
    lines = ["", "Keyword arguments of what is written, as in `WriteOptions`:", ""]
    for spec in specs:
        text = f"{spec.name} (default {spec.default!r}): {spec.metadata['doc']}"
        lines += textwrap.wrap(text, 112, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)
    target.__doc__ = inspect.cleandoc(target.__doc__ or "") + "\n" + "\n".join(lines) + "\n"
    function: Any = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    signature = inspect.signature(function)
    first = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*first, *parameters()])
    return target


def parameters() -> list[inspect.Parameter]:
    """The options as keyword-only parameters of a signature."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(spec.name, keyword, default=spec.default, annotation=spec.type)
        for spec in dataclasses.fields(WriteOptions)
    ]


def _checked(spec: "dataclasses.Field[Any]", value: Any) -> Any:
    """The value as it is kept."""
    name, choices, least = spec.name, spec.metadata["choices"], spec.metadata["least"]
    if name == "importance":
        if isinstance(value, str):
            raise UpsDataError(f"importance={value!r}: give a list of metrics, as [{value!r}]")
        from ups_data.writing.importance import check_metrics  # heavy

        return tuple(check_metrics(value)) if len(value) else ()
    if name == "mask":
        if value is not None and (not isinstance(value, str) or not value.removeprefix("!")):
            raise UpsDataError(f"mask={value!r}: give the name of a variable, or ! and its name")
        return value
    if isinstance(spec.default, float):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UpsDataError(f"{name}={value!r}: give a finite number")
        if abs(value) > MOST_FLOAT32:
            raise UpsDataError(f"{name}={value!r}: does not fit into float32, give a smaller number")
        return float(value)
    if choices is not None:
        if value not in choices:
            raise UpsDataError(f"{name} {value!r}: choose one of {', '.join(map(str, choices))}")
        return value
    if isinstance(spec.default, bool):
        if not isinstance(value, bool):
            raise UpsDataError(f"{name}={value!r}: give True or False")
        return value
    return _integer(name, value, least)


def _integer(name: str, value: Any, least: int) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UpsDataError(f"{name}={value!r}: give a whole number")
    if not least <= number <= WIDEST:
        bound = f"{least} or more" if number < least > -WIDEST - 1 else "a number that fits into 64 bits"
        raise UpsDataError(f"{name}={number}: give {bound}")
    return number
