"""Changes of bytes and of JSON at random, by a seed: those that readers stumble over."""

import json
import random
import re
from copy import deepcopy
from typing import Any

NUMBERS = [0, 1, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
TEXTS = [b"0", b"-1", b"1e999", b"nan", b"99999999999", b"9223372036854775808", b"2147483648", b"", b"\0", b"\n", b"%s"]
ODD: list[Any] = [
    None,
    -1,
    0,
    1,
    2**31,
    2**63,
    2**70,
    1e308,
    0.5,
    "",
    "x",
    "\x1b[1m",
    "../x",
    "a\nb",
    [],
    {},
    [[]],
    True,
]


def changed(data: bytes, draw: random.Random) -> bytes:
    """Bytes with one to four changes, most of them near either end."""
    found = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3, 4])):
        _change(found, draw)
    return bytes(found)


def _change(data: bytearray, draw: random.Random) -> None:
    if not data:
        return
    reach = draw.choice([64, 512, 4096, len(data)])
    at = draw.randrange(min(reach, len(data)))
    at = at if draw.random() < 0.7 else len(data) - 1 - at
    kind = draw.randrange(8)
    if kind == 0:
        data[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        data[at] = draw.randrange(256)
    elif kind == 2:
        width, order = draw.choice([2, 4, 8]), draw.choice(["little", "big"])
        data[at : at + width] = (draw.choice(NUMBERS) % 256**width).to_bytes(width, order)  # type: ignore[arg-type]
    elif kind == 3:
        del data[at : at + draw.choice([1, 4, 16, 100])]
    elif kind == 4:
        data[at:at] = data[at : at + draw.choice([1, 8, 64])]
    elif kind == 5:
        data[at:at] = draw.randbytes(draw.choice([1, 4, 32]))
    elif kind == 6:
        del data[at:]
    else:
        _change_number(data, at, draw)


def _change_number(data: bytearray, at: int, draw: random.Random) -> None:
    """A number in text, if one follows soon."""
    number = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?").search(data, at, at + 300)
    if number is not None:
        data[number.start() : number.end()] = draw.choice(TEXTS)


def changed_json(text: bytes, draw: random.Random) -> bytes:
    """JSON of which one to three values are others, or are left out, or whose keys are others."""
    value = json.loads(text)
    for _ in range(draw.choice([1, 1, 2, 3])):
        places = list(_places(value))
        if places:
            held, key = draw.choice(places)
            _change_value(held, key, draw)
    return json.dumps(value, indent=1).encode()


def _change_value(held: Any, key: Any, draw: random.Random) -> None:
    kind = draw.randrange(6)
    if kind == 0:
        del held[key]
    elif kind == 1 and isinstance(held, dict):
        held[str(draw.choice(ODD))] = held.pop(key)
    elif kind == 2 and isinstance(held[key], int | float):
        held[key] = draw.choice([*NUMBERS, -1, held[key] + 1, -held[key], 0.5])
    elif kind == 3 and isinstance(held[key], list) and held[key]:
        held[key] = [deepcopy(value) for value in held[key] * draw.choice([0, 2, 1000])]
    else:
        held[key] = deepcopy(draw.choice(ODD))  # it may be changed in turn


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
