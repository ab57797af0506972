"""Several processes of one machine that fill one cache, and one of them killed: run as a program, without torch.

    python -m tests.store.cached.node DATASET FOLDER MOMENTS

Each moment, with a cache of its own, is a line of JSON: what went wrong (nothing, if all is well), how many chunks were
asked for, how often the one that was asked for most, and how often chunks were asked for once more.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from tests.store.cached.logged import LoggedStore, asked, disk_bytes, lines
from ups_data.schema import Manifest
from ups_data.store.cached.ledger import Ledger
from ups_data.store.cached.mirror import FILLING, PRESENT
from ups_data.store.cached.store import CachedStore
from ups_data.store.local import LocalStore
from ups_data.store.object_store import ObjectStore
from ups_data.store.shard import Shard

PROCESSES, BLOCK = 4, 6


class SlowStore(LoggedStore):
    """A moment passes before anything comes."""

    def get_ranges(self, wanted):
        found = super().get_ranges(wanted)
        time.sleep(0.004)  # between what is asked for and what is kept
        return found

    def __reduce__(self):
        return SlowStore, (self.root, self.log)


def arrays(store: ObjectStore):
    """All arrays of the dataset's fields, and the numbers of their chunks."""
    manifest = Manifest.load(store)
    for spec in manifest.split("train").shards:
        shard = Shard(store, manifest, spec)
        for field in manifest.fields:
            array = shard.field(field.name)
            yield array, np.arange(-(-array.shape[0] // array.chunk_rows) * array.blocks)


def truth(root: Path) -> list[list[bytes]]:
    return [
        [bytes(found.body(i)) for i in range(len(found))]
        for array, numbers in arrays(LocalStore(root))
        if (found := array.stored(numbers))
    ]


def read(store: CachedStore, expected: list[list[bytes]], seed: int) -> str:
    """Read all chunks in an order of one's own, block by block; what is wrong."""
    order, opened = random.Random(seed), list(arrays(store))
    blocks = [
        (a, numbers[i : i + BLOCK]) for a, (_, numbers) in enumerate(opened) for i in range(0, len(numbers), BLOCK)
    ]
    order.shuffle(blocks)
    for number, chosen in blocks:
        array = opened[number][0]
        with store.reading(lambda array=array, chosen=chosen: array.ranges(chosen)):
            found = array.stored(chosen)
            for place, chunk in enumerate(chosen.tolist()):
                if bytes(found.body(place)) != expected[number][chunk]:
                    return f"chunk {chunk} of array {number} is wrong"
    return ""


def child(root: Path, folder: Path, bound: int, expected: list[list[bytes]], seed: int) -> int:
    """Fork a process that reads everything; its status is 0 if it was right."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        wrong = read(CachedStore(SlowStore(root, folder / "log"), folder / "cache", bound), expected, seed)
        if wrong:
            print(wrong, file=sys.stderr)
        status = 1 if wrong else 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def moment(
    root: Path, folder: Path, expected: list[list[bytes]], number: int, share: float, small: int
) -> dict[str, object]:
    """Four fill; one is killed when so large a share was asked for; then one more starts."""
    bound = small if number % 3 == 2 else 10**9
    folder.mkdir()
    pids = [child(root, folder, bound, expected, seed) for seed in range(PROCESSES)]
    begun, wrong, over = time.monotonic(), [], 0
    victim, killed = pids[number % PROCESSES], False
    while pids:
        if not killed and len(lines(folder / "log")) >= share * sum(map(len, expected)):
            os.kill(victim, signal.SIGKILL)
            killed = True
        over = max(over, disk_bytes(folder / "cache") - bound)
        done, status = os.waitpid(-1, os.WNOHANG)
        if done:
            pids.remove(done)
            killed = killed or done == victim
            if status and not (done == victim and os.WIFSIGNALED(status)):
                wrong.append(f"process {done} ended with status {status}")
        elif time.monotonic() - begun > 60:
            wrong.append("a process hangs")
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    counts = asked(folder / "log")
    pids = [child(root, folder, bound, expected, 99)]
    if os.waitpid(pids[0], 0)[1]:
        wrong.append("a later start was wrong")
    ledger = Ledger(folder / "cache")
    states = [state for mirror in ledger.mirrors() for state in mirror.states().tolist()]
    if bound > small and set(states) != {PRESENT}:
        wrong.append(f"left behind: {sorted(set(states))}")
    if FILLING in states:
        wrong.append("a chunk is for ever being filled")
    if over > 0 or ledger.used > bound:
        wrong.append(f"{over} bytes over the bound, {ledger.used} booked")
    shutil.rmtree(folder)
    return {
        "wrong": wrong,
        "small": bound == small,
        "chunks": len(counts),
        "most": max(counts.values(), default=0),
        "twice": sum(count - 1 for count in counts.values()),
    }


def main(root: Path, folder: Path, moments: int) -> None:
    expected = truth(root)
    small = sum(len(chunk) for array in expected for chunk in array) // 3
    for number in range(moments):
        share = (number + 0.5) / moments  # of the chunks that were asked for, when one is killed
        print(json.dumps(moment(root, folder / str(number), expected, number, share, small)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
