"""Chunks as they were before arrays of less than a chunk got a chunk of their own length: filled up.

`python padded.py TOOL ARGUMENTS…` runs a tool that writes such chunks. All else of the files it makes can then be
compared, byte by byte, with those of older commits.
"""

import runpy
import sys

from ups_data.writing.shard.array_writer import ArrayWriter


def fill_up() -> None:
    """From now on, this process's writers fill chunks up."""
    ArrayWriter._shorten = lambda self: None  # type: ignore[method-assign]


if __name__ == "__main__":
    del sys.argv[0]
    fill_up()
    runpy.run_path(sys.argv[0], run_name="__main__")
