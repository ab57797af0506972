"""Files that are mapped count as memory only as far as they are in use."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ups_data import QueryLoader, ShardWriter
from ups_data import _native as built
from ups_data.loader.stretches.stretches import Stretches, one_query
from ups_data.schema import Manifest
from ups_data.store.local import LocalStore

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or built.native is None, reason="what of a map is resident is read from /proc"
)
POINTS = 1_500_000  # of 12 bytes: 18 MB


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of a cloud, whole frames as they are: a chunk is a frame."""
    root, rng = tmp_path_factory.mktemp("cloud") / "d", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        p = np.arange(2 * POINTS, dtype=np.float32).reshape(2, POINTS, 1)
        writer.add({"p": p}, coords=rng.random((POINTS, 2), np.float32))
    return root


def mapped_bytes() -> int:
    """Of files, by this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
    return 1024 * int(line.split()[1])


def test_a_map_that_is_let_go_can_be_used_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(256)) * 2**16)
    opened = LocalStore(tmp_path).open("a", None)
    assert opened.data is not None
    before = mapped_bytes()
    assert np.frombuffer(opened.data, np.uint8).sum(dtype=np.int64) == 255 * 128 * 2**16
    assert mapped_bytes() > before + 12e6
    opened.let_go()
    assert mapped_bytes() < before + 2e6
    assert np.frombuffer(opened.data, np.uint8)[-256:].tolist() == list(range(256))
    opened.check_unchanged()


def test_stretches_hold_little_of_the_files(cloud: Path) -> None:
    """Not even while a frame that is one chunk is compared with its checksum."""
    manifest = Manifest.load(cloud)
    draws = {"batch_size": 1, "sampling": one_query(manifest), "threads": 0, "inputs": False, "horizon": 1}
    loader = QueryLoader(cloud, split="train", target_fields=["p"], **draws)
    before, most, seen = mapped_bytes(), 0, 0
    for part in Stretches(loader).of(0, 0)[None].read(slice(0, 1)):
        values = part.target_queries.values["p"]
        assert float(values[0, 0, 0]) == POINTS + seen
        seen, most = seen + values.shape[1], max(most, mapped_bytes())
    assert seen == POINTS
    assert most < before + 7e6
