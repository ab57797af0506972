"""Bytes of a dataset, and of its exports.

python benchmarks/exporting/sizes.py data/dr
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from ups_data import UpsDataError
from ups_data.exporting import FORMATS, export_dataset
from ups_data.schema import Manifest


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    root = parser.parse_args().dataset
    manifest = Manifest.load(root)
    own = sum(shard.bytes for split in manifest.splits.values() for shard in split.shards)
    print(f"{'format':<10} {'MB':>10} {'÷ dataset':>10} {'files':>8} {'seconds':>8}")
    print(f"{'dataset':<10} {own / 1e6:>10.2f} {1:>10.2f}")
    for to in FORMATS:
        with TemporaryDirectory() as folder:
            begin = time.perf_counter()
            try:
                done = export_dataset(root, Path(folder) / to, to)
            except UpsDataError as error:
                print(f"{to:<10} {error}")
                continue
            seconds = time.perf_counter() - begin
        print(f"{to:<10} {done.bytes / 1e6:>10.2f} {done.bytes / own:>10.2f} {done.files:>8,} {seconds:>8.1f}")


if __name__ == "__main__":
    main()
