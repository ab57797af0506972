"""Samples per second of one loader over a warm dataset: a process of its own, of any commit.

Arguments: dataset, options of `QueryLoader` and of its sampling as JSON, seconds. Prints one number.
"""

import json
import sys
import time

from ups_data import QueryLoader, QuerySampling


def main(root: str, options: str, sampling: str, seconds: str) -> None:
    """Whole epochs, after one to warm up, until so many seconds have passed."""
    drawn = QuerySampling(**json.loads(sampling))
    given = json.loads(options)
    loader = QueryLoader(root, sampling=drawn, **{**given, "inputs": drawn if given.get("inputs") else None})
    samples, taken, begun = 0, 0.0, time.perf_counter()
    for _ in loader:
        pass
    while taken < float(seconds):
        begun = time.perf_counter()
        for batch in loader:
            samples += len(batch)
        taken += time.perf_counter() - begun
    print(samples / taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
