"""A loader's throughput."""

from collections.abc import Mapping

from ups_data.cli.tables.sheet import Sheet
from ups_data.cli.throughput import Throughput

CAPTION = "Shares are of the time. Fetch, decode, draw and assemble are summed over threads and processes."
MEANING = {
    "fetch": "opening, reading and checking stored bytes",
    "decode": "decompressing",
    "draw": "drawing points",
    "assemble": "copying into batches",
}


def throughput_table(title: str, measured: Throughput) -> Sheet:
    """Every figure with what it means."""
    table = Sheet("", "measured", "meaning", title=title, caption=CAPTION, text=("",), folds=("meaning",))
    table.add_row("samples/s", f"{measured.samples_per_second:,.0f}", f"{measured.queries:,} query points in each")
    taken = f"{measured.batches:,} taken in {measured.seconds:.1f} s, {measured.passes:,} whole passes"
    table.add_row("batches/s", f"{measured.batches_per_second:,.1f}", taken)
    table.add_row("first batch", f"{measured.first_batch_seconds:.3f} s", "files are opened, nothing is in memory")
    table.add_section()
    waited = measured.wait_seconds / measured.seconds
    table.add_row("wait", f"{waited:.1%}", "the loop waited until a batch was ready")
    for part, seconds in measured.part_seconds.items():
        table.add_row(part, f"{seconds / measured.seconds:.1%}", MEANING[part])
    table.add_section()
    read, batch = measured.read_bytes_per_sample, measured.batch_bytes
    table.add_row("read/sample", f"{read / 1e3:,.1f} kB", "stored bytes of the chunks used, in the first pass")
    table.add_row("batch/sample", f"{batch / 1e3:,.1f} kB", "of the tensors that the loop gets")
    return table


def several(title: str, measured: Mapping[str, Throughput]) -> Sheet:
    """Several loaders of one dataset: name → its figures."""
    table = Sheet("points", "queries", "samples/s", "kB per sample", title=title)
    for name, m in measured.items():
        table.add_row(name, f"{m.queries:,}", f"{m.samples_per_second:,.0f}", f"{m.batch_bytes / 1e3:,.1f}")
    return table
