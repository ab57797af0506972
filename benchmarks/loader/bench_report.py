"""The benchmark's figures: from what was measured to JSON and a table."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.loader.bench_workloads import PARTS
from ups_data.cli.tables.sheet import Sheet

OURS, LIMITS = "ups_data", ("limit", "cloud limit")
OURS_TOO = {OURS, "in blocks"}
PACKAGES = ("ups_data", "torch", "numpy", "zarr", "zarrs", "numcodecs", "webdataset")


@dataclass
class Measurement:
    """One system's raw results.

    Attributes:
        start: the answer of `Measured.start`.
        memory: bytes, before the system was opened, then the peaks of its own and of all resident memory.
        rounds: the answers of `Measured.run`.
    """

    start: dict[str, Any]
    memory: tuple[int, int, int]
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Samples per second of each round."""
        return [r["samples"] / r["seconds"] for r in self.rounds]

    def total(self, name: str) -> float:
        return sum(r[name] if name in r else r["counted"].get(name, 0.0) for r in self.rounds)


def figures(results: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """Every system's figures, by name.

    - `samples_per_second`: median, min and max over the rounds, and the rounds.
    - `share_of_limit`: medians. `this_loader_ratio`: median of this loader ÷ that system's.
    - `bytes_read_per_sample`: stored bytes of the chunks or members fetched for a sample, counted; of whole frames in
      a mapped file, the pages touched. None where it is not known. `bytes_used_per_sample`: of the batch's arrays.
    - `memory_bytes`: `before` the system was opened (imports), `peak` of its processes' own memory, `peak_resident`
      with mapped files too.
    - `first_batch_seconds`: from opening the system, modules imported, to its first batch.
    - for this loader `shares_of_time`: seconds in each part ÷ seconds of the rounds; fetch, decode and assemble are
      summed over threads, wait is the consumer's.
    """
    limit = next(median(m.rates) for name, m in results.items() if name in LIMITS)
    ours = median(results[OURS].rates)
    table = {}
    for name, m in results.items():
        rate, (before, peak, resident) = median(m.rates), m.memory
        table["limit" if name in LIMITS else name] = {
            "samples_per_second": {"median": rate, "min": min(m.rates), "max": max(m.rates), "rounds": m.rates},
            "share_of_limit": rate / limit,
            "this_loader_ratio": ours / rate,
            "bytes_read_per_sample": m.start["bytes_read"],
            "bytes_used_per_sample": m.start["bytes_used"],
            "memory_bytes": {"before": before, "peak": peak, "peak_resident": resident},
            "first_batch_seconds": m.start["first_batch_seconds"],
        }
    for name in OURS_TOO & set(table):
        table[name] |= _of_this_loader(results[name])
    return table


def _of_this_loader(m: Measurement) -> dict[str, Any]:
    seconds = m.total("seconds")
    decoded, chunks = m.total("decoded_chunks"), m.start["stored_chunks"]
    extra = {
        "shares_of_time": {part: m.total(f"{part}_seconds") / seconds for part in PARTS},
        "stored_chunks": chunks,
        "decoded_chunks_per_epoch": decoded / m.total("epochs"),
        "pool_bytes": m.start["pool_bytes"],
        "fresh_loader_per_epoch": m.start["fresh_loader_per_epoch"],
    }
    if m.start["bytes_read"] is None:
        extra["bytes_read_per_sample"] = m.total("read_bytes") / m.total("samples") or None
    return extra


def table_of(title: str, systems: Mapping[str, dict[str, Any]]) -> Sheet:
    """The figures as a table; this loader's own lines below it."""
    ours = systems[OURS]
    shares = ", ".join(f"{part} {share:.0%}" for part, share in ours["shares_of_time"].items())
    chunks = f"{ours['decoded_chunks_per_epoch']:.0f} of {ours['stored_chunks']} chunks decoded per epoch"
    caption = f"{OURS}, of the time, threads summed: {shares}; {chunks}"
    headers = ("system", "samples/s", "of limit", "ours is ×", "kB read", "kB used", "MB", "first s")
    table = Sheet(*headers, title=title, caption=caption, text=("system",))
    for name, f in systems.items():
        rate, read = f["samples_per_second"], f["bytes_read_per_sample"]
        table.add_row(
            name,
            f"{rate['median']:,.0f}",
            f"{f['share_of_limit']:.3f}",
            f"{f['this_loader_ratio']:.2f}",
            "?" if read is None else f"{read / 1e3:,.0f}",
            f"{f['bytes_used_per_sample'] / 1e3:,.0f}",
            f"{f['memory_bytes']['peak'] / 1e6:,.0f}",
            f"{f['first_batch_seconds']:.2f}",
        )
    return table


def machine() -> dict[str, Any]:
    """Where and when: date (UTC), processor, cores that this process may use, memory in bytes, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
