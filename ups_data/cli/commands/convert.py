"""`ups-data convert`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ups_data.cli.write_options import takes_write_options, write_options
from ups_data.errors import UpsDataError


@takes_write_options
def convert(
    source: Annotated[Path, typer.Argument(help="File or folder of simulations: HDF5, NumPy, .pt, VTK, NetCDF, zarr.")],
    out: Annotated[str | None, typer.Option(help="Folder or URL of the dataset: new, empty, or unfinished.")] = None,
    format: Annotated[str | None, typer.Option(help="Source format, instead of recognising it.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Shares by trajectory; default: the source's own splits, or train=0.8,valid=0.1,test=0.1."),
    ] = None,
    split_time: Annotated[
        str | None,
        typer.Option(help="Windows of time, cut out of every run: train=..2015,valid=2016.. (dates, or numbers)."),
    ] = None,
    split_region: Annotated[
        str | None, typer.Option(help="Boxes on coordinates, cut out of every run: train=x:..0.7,valid=x:0.7../y:0..1.")
    ] = None,
    split_param: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="NAME RANGES", help="A parameter and its ranges: nu train=..0.3,valid=0.3.."),
    ] = None,
    split_gap: Annotated[
        str | None, typer.Option(help="Between what goes to different splits: a number, or with a unit, as '30 days'.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(help="JSON, YAML or CSV that names each split's runs; see inspect --splits-file.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that write shards; the bytes are the same.")] = 1,
    on_error: Annotated[
        str, typer.Option(help="raise, or skip: leave out what cannot be read or stored, and list it at the end.")
    ] = "raise",
    timeout: Annotated[float, typer.Option(help="Seconds after which a worker that does nothing is an error.")] = 300,
    dask: Annotated[
        str | None,
        typer.Option(help="A Dask cluster that writes the shards: tcp://HOST:PORT, or local:4 for 4 processes here."),
    ] = None,
    allow_links: Annotated[
        bool, typer.Option("--allow-links", help="Read what links in the source lead to, also outside of it.")
    ] = False,
    variables: Annotated[str | None, typer.Option(help="Fields to take, as u,v; default: all.")] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="old=new, a field or parameter under another name; may be repeated.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="NetCDF, zarr: one place along a dimension, as level=500; may be repeated.")
    ] = None,
    stack: Annotated[
        list[str] | None, typer.Option(help="NetCDF, zarr: a dimension whose places become channels; may be repeated.")
    ] = None,
    concat: Annotated[
        str | None, typer.Option(help="time: the files of a folder are one run; gaps are refused.")
    ] = None,
    max_expansion: Annotated[
        float | None, typer.Option(help="Decoded bytes that a stored one may claim; default 200, more is refused.")
    ] = None,
    ratio: Annotated[float, typer.Option(help="Queries ÷ points, for the estimate of bytes per sample.")] = 0.1,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Say how many blocks suit the ratio, and why; write nothing.")
    ] = False,
    latency: Annotated[
        float | None, typer.Option(help="With --suggest: of a store, in seconds; 0.03 is usual for object stores.")
    ] = None,
    bandwidth: Annotated[float, typer.Option(help="With --latency: of the store, in bytes a second.")] = 1e9,
    weigh: Annotated[
        str | None, typer.Option("--weigh", help="Bytes on disk with these blocks, as 4,16; write nothing that stays.")
    ] = None,
    card: Annotated[
        bool,
        typer.Option("--card/--no-card", help="Write a card beside the data: a text, and a picture of every field."),
    ] = True,
    **written: Any,
) -> None:
    """Convert simulations into a dataset.

    The dataset is a folder of zarr v3 shards. After a kill or an error, the same command goes on where it stopped. If
    new files came, the same command appends their runs.
    """
    if not 0 < ratio <= 1:
        raise UpsDataError(f"--ratio {ratio}: give a number above 0, at most 1")
    reading = reading_options(
        allow_links, max_expansion, variables, rename or [], select=select or [], stack=stack or [], concat=concat
    )
    options = write_options(written)
    if suggest:
        show_suggestion(source, format, options.cast, ratio, reading, latency, bandwidth)
        return
    from ups_data.conversion.splitting.rules import rule_of

    rule = rule_of(source, time=split_time, region=split_region, param=split_param, file=splits, gap=split_gap)
    if rule is not None and split is not None:
        raise UpsDataError(f"--split and {rule.option}: choose one of them")
    shares = parse_shares(split) if rule is None else rule
    if weigh is not None:
        choices: dict[str, Any] = {"format": format, "split": shares, "options": options, "reading": reading}
        show_weights(source, parse_numbers(weigh), choices)
        return
    if out is None:
        raise UpsDataError("--out is missing: name the folder of the dataset")
    from rich.console import Console

    from ups_data.cli.progress import counting
    from ups_data.cli.stopping import stopping
    from ups_data.cli.tables.cost import estimate
    from ups_data.cli.tables.damage import left_out_table
    from ups_data.conversion.convert import convert as convert_source
    from ups_data.conversion.splits import DEFAULT_SPLIT
    from ups_data.conversion.suggest import dataset_cost
    from ups_data.errors import printable

    stopped = f"{out}: stopped; the same command goes on from the shards that are finished"
    with stopping(stopped), counting("trajectories") as bar:
        task = bar.add_task("converting", total=None, visible=False)
        manifest = convert_source(
            source,
            out,
            options,
            format=format,
            split=shares,
            workers=workers,
            dask=dask,
            reading=reading,
            on_error=on_error,  # type: ignore[arg-type]  # convert checks it
            timeout=timeout,
            card=card,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    counts = ", ".join(f"{n} {s.num_trajectories}" for n, s in manifest.splits.items())
    size = sum(shard.bytes for s in manifest.splits.values() for shard in s.shards)
    if bar.tasks[task].total is None:  # there was no progress
        print(printable(f"{out}: is complete already, nothing to do: {size / 1e6:.1f} MB; trajectories: {counts}"))
        return
    print(printable(f"{out}: {size / 1e6:.1f} MB; trajectories: {counts}"))
    print(estimate(dataset_cost(manifest, ratio), ratio))
    for name, reason in (manifest.not_stored or {}).items():
        print(printable(f"not stored: {name}: {reason}"))
    for line in published_statistics(source, manifest):
        print(printable(line))
    if shares is None and (lacking := [name for name in DEFAULT_SPLIT if name not in manifest.splits]):
        print(f"splits without a trajectory: {', '.join(lacking)}")
    if manifest.left_out:
        Console(emoji=False).print(left_out_table(manifest))


def published_statistics(source: Path, manifest: Any) -> list[str]:
    """How those that The Well publishes compare with the dataset's."""
    from ups_data.sources.well.statistics import compare_published

    if manifest.source.get("format") != "well" or "train" not in manifest.splits:
        return []
    statistics = manifest.splits["train"].statistics
    return compare_published(source, {name: values.model_dump() for name, values in statistics.items()})


def reading_options(
    allow_links: bool,
    max_expansion: float | None,
    variables: str | None = None,
    rename: Sequence[str] = (),
    *,
    select: Sequence[str] = (),
    stack: Sequence[str] = (),
    concat: str | None = None,
) -> Any:
    """How the source is read."""
    from ups_data.sources import SourceOptions

    given: dict[str, Any] = {} if max_expansion is None else {"expansion": max_expansion}
    pairs = {
        option: tuple((old, new) for old, _, new in (pair.rpartition("=") for pair in given_pairs))
        for option, given_pairs in (("rename", rename), ("select", select))
    }
    for option, form in (("rename", "old=new"), ("select", "level=500")):
        if not all(old and new for old, new in pairs[option]):
            raise UpsDataError(f"--{option} {' '.join(rename if option == 'rename' else select)}: write it as {form}")
    names = tuple(name.strip() for name in variables.split(",")) if variables else ()
    return SourceOptions(
        allow_links=allow_links,
        variables=names,
        rename=_pairs("rename", rename, "old=new"),
        select=_pairs("select", select, "level=500"),
        stack=tuple(stack),
        concat=concat,
        **given,
    )


def _pairs(option: str, texts: Sequence[str], form: str) -> tuple[tuple[str, str], ...]:
    pairs = tuple((old, new) for old, _, new in (text.rpartition("=") for text in texts))
    if not all(old and new for old, new in pairs):
        raise UpsDataError(f"--{option} {' '.join(texts)}: write it as {form}")
    return pairs


def show_suggestion(
    source: Path,
    format: str | None,
    cast: str | None,
    ratio: float,
    reading: Any,
    latency: float | None,
    bandwidth: float,
) -> None:
    """How many blocks suit a ratio: the numbers around the chosen one, and the reason; for a store if there is a
    latency."""
    from rich.console import Console

    from ups_data.cli.tables.cost import suggestion_table
    from ups_data.conversion.suggest import suggest, trajectory_sizes
    from ups_data.sources import open_source

    first = next(iter(open_source(source, format, options=reading)))
    sizes = trajectory_sizes(first, cast)
    if latency is not None:
        from ups_data.conversion.remote.costs import suggest_for_store

        found = suggest_for_store(sizes, ratio, latency=latency, bandwidth=bandwidth)
        Console(emoji=False).print(suggestion_table(found.suggestion, ratio))
        print(f"suggested: {found.options}. {found.suggestion.why}")
        return
    suggestion = suggest(sizes, ratio)
    Console(emoji=False).print(suggestion_table(suggestion, ratio))
    print(f"suggested: --blocks {suggestion.chosen.blocks}. {suggestion.why}")


def show_weights(source: Path, blocks: list[int], options: dict[str, Any]) -> None:
    """Bytes on disk by codec and blocks."""
    from rich.console import Console

    from ups_data.cli.tables.cost import weights_table
    from ups_data.conversion.weigh import weigh

    Console(emoji=False).print(weights_table(weigh(source, blocks, **options)))


def parse_shares(text: str | None) -> dict[str, float] | None:
    """`train=0.8,valid=0.1,test=0.1` as a dict."""
    if text is None:
        return None
    try:
        return {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UpsDataError(f"--split {text!r}: write it as train=0.8,valid=0.1,test=0.1") from None


def parse_numbers(text: str) -> list[int]:
    """`4,16` as a list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UpsDataError(f"--weigh {text!r}: write it as 4,16") from None
