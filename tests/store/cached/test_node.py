"""One cache for the processes of a machine, and one of them killed while it fills."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from ups_data import ShardWriter


def moments(tmp_path, count):
    root = tmp_path / "d"
    with ShardWriter(root, blocks=16) as writer:
        for number in range(4):
            rng = np.random.default_rng(number)
            u, v = (rng.standard_normal((3, 64, 64, channels)).astype(np.float32) for channels in (4, 1))
            writer.add({"u": u, "v": v})
    (tmp_path / "caches").mkdir()
    command = ["-m", "tests.store.cached.node", root, tmp_path / "caches", str(count)]
    done = warm.run(command, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize(
    "count", [6, pytest.param(20, marks=pytest.mark.faults), pytest.param(60, marks=pytest.mark.faults)]
)
def test_a_process_that_is_killed_while_it_fills_leaves_nothing_that_is_taken_for_data(tmp_path, count):
    """Four fill, one is killed: the others read what is right, so does a later start, and the bound holds."""
    found, errors = moments(tmp_path, count)
    assert [entry["wrong"] for entry in found] == [[]] * count, errors
    for entry in found:
        if not entry["small"]:
            assert entry["most"] <= 2  # by the one that was killed, and once more
            assert entry["twice"] <= 6  # a block of chunks
