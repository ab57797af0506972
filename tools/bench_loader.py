"""Compares the loader with its limit and with other loaders: `benchmarks/loader/bench_loader.py` from a checkout."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.argv[0] = str(ROOT / "benchmarks" / "loader" / "bench_loader.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
