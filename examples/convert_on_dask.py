"""A conversion on a Dask cluster, and the same by one process: every byte is equal.

    python examples/convert_on_dask.py FOLDER [tcp://HOST:PORT]

Without an address it starts two processes of this machine. A cluster of several machines works the same way, if FOLDER
is shared: `dask scheduler` on one of them, `dask worker tcp://HOST:8786 --nthreads 1 --nworkers auto` on each.
"""

import sys
from pathlib import Path

import numpy as np

from ups_data.conversion.convert import convert


def main(folder: Path, cluster: str) -> None:
    """Make a source, convert it twice, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    x = np.linspace(0, 2 * np.pi, 32, endpoint=False, dtype=np.float32)
    waves = [np.sin(x[:, None] - 0.1 * step * speed) * np.cos(x) for speed in range(1, 9) for step in range(10)]
    np.save(folder / "waves.npy", np.stack(waves).reshape(8, 10, 32, 32, 1))

    for name, dask in (("alone", None), ("on-dask", cluster)):
        manifest = convert(folder / "waves.npy", folder / name, shard_bytes=40_000, dask=dask)
        print(f"{name}: {sum(len(split.shards) for split in manifest.splits.values())} shards")
    files = [path.relative_to(folder / "alone") for path in (folder / "alone").rglob("*") if path.is_file()]
    equal = all((folder / "alone" / f).read_bytes() == (folder / "on-dask" / f).read_bytes() for f in files)
    print(f"{len(files)} files, {'equal' if equal else 'not equal'}")


if __name__ == "__main__":  # the processes of `local:2` import this file
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "local:2")
