"""Which of a grid's axes is x, y, z, for people and for files that ask."""

from collections.abc import Sequence

# Names by which a direction is known, in lower case.
KNOWN = {
    **{"x": 0, "lon": 0, "longitude": 0, "rlon": 0},
    **{"y": 1, "lat": 1, "latitude": 1, "rlat": 1},
    **{"z": 2, "lev": 2, "level": 2, "height": 2, "depth": 2, "altitude": 2},
}


def directions(names: Sequence[str]) -> list[int]:
    """For each axis 0 (x), 1 (y) or 2 (z): by their names, or, if those do not tell, x is the last axis of an array.

    directions(["lat", "lon"])  # [1, 0]
    """
    known = [KNOWN.get(name.lower()) for name in names]
    told = [number for number in known if number is not None]
    if len(told) == len(names) and len(set(told)) == len(told):
        return told
    return list(reversed(range(len(names))))
