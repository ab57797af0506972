"""From a source of raw simulations to a dataset of shards.

A conversion is a plan and a task for each of its shards. What is finished is recorded as it goes, so that the same
command, run again after a kill, a full disk or an error, goes on with the shards that are missing and ends with the
bytes of an undisturbed run. An unfinished dataset has no manifest: nothing takes it for data.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from os.path import realpath
from pathlib import Path
from typing import Any, get_args

from ups_data.conversion.cluster.address import check_address
from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.run import Conversion
from ups_data.conversion.shard_plan import OnError
from ups_data.conversion.shard_task import Job
from ups_data.conversion.splits import check_shares
from ups_data.conversion.splitting.base import SplitRule
from ups_data.conversion.splitting.dealing import Dealing
from ups_data.conversion.work_folder import WorkFolder
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.sources import DEFAULTS, SourceOptions, check_paths, open_source
from ups_data.store.local import LocalStore
from ups_data.store.remote.urls import is_url
from ups_data.store.root import open_store
from ups_data.writing.options import WriteOptions, collected, takes_options


@takes_options
def convert(
    path: str | Path,
    out: str | Path,
    options: WriteOptions | None = None,
    *,
    format: str | None = None,
    split: Mapping[str, float] | SplitRule | None = None,
    workers: int = 1,
    on_error: OnError = "raise",
    timeout: float = 300,
    dask: str | None = None,
    reading: SourceOptions = DEFAULTS,
    store_options: Mapping[str, Any] | None = None,
    card: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **given: Any,
) -> Manifest:
    """Convert a file or folder of simulations, a trajectory at a time and each trajectory a few frames at a time.

    If a conversion was stopped, the same call goes on from the shards that are finished; `workers` and `on_error` may
    differ. If it is complete already, the manifest is returned; if there are new files beside those that it was made
    from, their trajectories are appended:

        convert("2D_diff-react_NA_NA.h5", "data/dr", blocks=16, codec="lz4", workers=4)

    Args:
        path: the source; its format is recognised from its content unless `format` names it.
        out: folder of the dataset, or a URL such as `s3://bucket/run`. For a URL every shard is written aside in a
            local folder (below the environment's `UPS_DATA_WORK`, or the temporary folder), uploaded when it is
            finished, and removed there; the manifest is put last.
        options: of what is written; keyword arguments win.
        split: split → share of the trajectories; or a rule: `ByTime`, `ByRegion`, `ByParam`, `ByFile`. None: the
            source's own splits, or 80/10/10. By shares, which trajectory goes where depends only on `seed` and on the
            number of trajectories.
        workers: processes that write shards; 1: this process. The bytes are the same.
        on_error: "skip" leaves out a trajectory that cannot be read, is unlike the others or holds what may not be
            stored. The manifest lists it, and every other trajectory goes where it would have gone. "raise": the
            conversion ends.
        timeout: seconds after which a worker that does nothing (it was stopped, or a read never returns) is an error,
            or a Dask cluster without a scheduler or a worker.
        dask: a Dask cluster that writes the shards instead: the address of its scheduler (`tcp://10.0.0.1:8786`), or
            `local:4` for four processes of this machine. The bytes are the same. The source, and `out` unless it is a
            URL, lie in folders that every worker has under the same path. Needs the extra `dask`.
        reading: how the source is read: links, limits.
        store_options: credentials, endpoint and the like for a URL, see `RemoteStore`.
        card: write `README.md` and pictures beside the manifest, see `ups_data.card`; the rest has the same bytes.
        progress: called with (trajectories done, number of trajectories), unless the dataset is complete already.

    Raises:
        UpsDataError: the source cannot be read or does not fit, the disk is full, another conversion into the folder is
            under way, or the folder holds a dataset of another source or with other options. Shards that are finished
            stay; if none is, `out` is left as it was.
    """
    path = Path(path)
    options = collected(options, given, caller="convert")
    _check_work(workers, on_error, timeout)
    if dask is not None:
        check_address(dask)
    rule, shares = (split, None) if isinstance(split, SplitRule) else (None, None if split is None else dict(split))
    if shares is not None:
        check_shares(shares)
    check_paths(path, reading)
    reading = _with_mask(reading, options.mask)
    # Before it is opened: what changes from now on is noticed.
    decided = {"format": format, "split": shares if rule is None else rule.identity(), **reading.changed()}
    identity = Identity.of(path, {**options.identity(), **decided})
    source = open_source(path, format, keep_damaged=on_error == "skip", options=reading)
    work = _work_folder(out, store_options)
    if path.is_dir() and not is_url(out) and Path(realpath(out)).is_relative_to(realpath(path)):
        raise UpsDataError(f"{out} lies in the source {path}: choose a folder outside of it")
    job = Job(path, format, options, 0, on_error, reading)
    conversion = Conversion(work, source, job, identity, Dealing(shares, rule), progress, card=card)
    try:
        return conversion.run(workers, timeout, dask)
    except UpsDataError as e:
        # The writer knows the field and the trajectory, the reader's user wants the file as well.
        raise e if str(path) in str(e) or str(out) in str(e) else UpsDataError(f"{path}: {e}") from None
    except OSError as e:
        raise UpsDataError(
            f"{out}: {e.strerror or e} ({e.filename or 'while writing'}): make room or repair it, and run the same "
            "command again; it goes on from what is finished"
        ) from e


def _with_mask(reading: SourceOptions, mask: str | None) -> SourceOptions:
    """The variable that is a mask is read, too, if some are chosen."""
    if mask is None or not reading.variables:
        return reading
    called = {new: old for old, new in reading.rename}
    name = mask.removeprefix("!")
    name = called.get(name, name)
    return reading if name in reading.variables else replace(reading, variables=(*reading.variables, name))


def _work_folder(out: str | Path, store_options: Mapping[str, Any] | None) -> WorkFolder:
    if not is_url(out):
        return WorkFolder(Path(out))
    store = open_store(out, store_options)
    if isinstance(store, LocalStore):  # file://
        return WorkFolder(store.root)
    from ups_data.conversion.remote.upload import UploadFolder  # late: needs obstore

    return UploadFolder(store)


def _check_work(workers: int, on_error: str, timeout: float) -> None:
    if workers < 1:
        raise UpsDataError(f"workers={workers}: give 1 for this process alone, or more")
    if on_error not in get_args(OnError):
        raise UpsDataError(f"on_error={on_error!r}: choose one of {', '.join(get_args(OnError))}")
    if not timeout > 0:
        raise UpsDataError(f"timeout={timeout}: give a number of seconds above 0")
