"""Seconds to import the package, and from there to a loader's first batch: a process of its own, of any commit.

Arguments: dataset, options of `QueryLoader` and of its sampling as JSON. Prints two numbers. PyTorch and NumPy
are imported before the clock starts: every program that loads batches has paid for them.
"""

import json
import sys
import time

import numpy  # noqa: F401
import torch  # noqa: F401


def main(root: str, options: str, sampling: str) -> None:
    """One start."""
    begun = time.perf_counter()
    from ups_data import QueryLoader, QuerySampling

    imported = time.perf_counter()
    drawn = QuerySampling(**json.loads(sampling))
    given = json.loads(options)
    loader = QueryLoader(root, sampling=drawn, **{**given, "inputs": drawn if given.get("inputs") else None})
    next(iter(loader))
    print(imported - begun, time.perf_counter() - imported)


if __name__ == "__main__":
    main(*sys.argv[1:])
