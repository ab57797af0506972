"""From a source of raw simulations to a dataset of shards.

A conversion is a plan and a task for each of its shards. What is finished is recorded as it goes, so that the same
command, run again after a kill, a full disk or an error, goes on with the shards that are missing and ends with the
bytes of an undisturbed run. An unfinished dataset has no manifest: nothing takes it for data.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from ups_data.atomic import exclusive
from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.shard_plan import OnError, Plan, PlannedShard, Stored, make_plan
from ups_data.conversion.shard_task import Job, Made, ShardMaker
from ups_data.conversion.work_folder import FOLDER, WorkFolder, size_of
from ups_data.conversion.workers import make_in_workers
from ups_data.errors import UpsDataError
from ups_data.hashing import hash_key
from ups_data.schema import MANIFEST, Manifest
from ups_data.sources import Source, open_source
from ups_data.store.arrays import codecs
from ups_data.writing.importance import check_metrics
from ups_data.writing.written import WrittenShard, dataset_manifest

DEFAULT_SPLIT = {"train": 0.8, "valid": 0.1, "test": 0.1}


def convert(
    path: str | Path,
    out: str | Path,
    *,
    format: str | None = None,
    split: Mapping[str, float] | None = None,
    seed: int = 0,
    codec: str = "none",
    cast: str | None = None,
    blocks: int = 1,
    allow_nonfinite: bool = False,
    importance: Sequence[str] = (),
    shard_bytes: int = 512 * 1024**2,
    workers: int = 1,
    on_error: OnError = "raise",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Convert a file or folder of simulations, a trajectory at a time and each trajectory a few frames at a time.

    A conversion that was ended goes on where it stood: with the same source and options, whatever `workers` and
    `on_error` are. Of one that is complete the manifest is returned.

    Args:
        path: the source; its format is recognised from its content unless `format` names it.
        out: folder of the dataset.
        split: split → share of the trajectories; None: the source's own splits, or 80/10/10. Which trajectory goes
            where depends on `seed` and their number only.
        blocks: of every frame; see `ShardWriter`. They are dealt by `seed` too.
        importance: metrics by which tiles' importance is stored; see `ShardWriter`.
        workers: processes that write shards; 1: this one. The bytes are the same.
        on_error: "skip" leaves out a trajectory that cannot be read, is unlike the others or holds what may not be
            stored; the manifest lists it, and all others go where they would have gone.
        progress: called with (trajectories done, trajectories in all), but for a dataset that is complete already.

    Raises:
        UpsDataError: the source cannot be read or does not fit, the disk is full, another conversion into the folder is
            under way, or the folder holds one of another source or with other options. Finished shards stay; without
            any, `out` is left as it was.
    """
    path, out = Path(path), Path(out)
    stored = Stored(codec, cast, blocks, seed, allow_nonfinite, tuple(check_metrics(importance)), shard_bytes)
    _check_options(stored, workers, on_error)
    source = open_source(path, format, keep_damaged=on_error == "skip")
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise UpsDataError(f"{out} lies in the source {path}: choose a folder outside of it")
    identity = Identity.of(path, {**vars(stored), "format": format, "split": None if split is None else dict(split)})
    conversion = _Conversion(out, source, Job(path, format, stored, 0, on_error), identity, split, progress)
    try:
        return conversion.run(workers)
    except UpsDataError as e:
        # The writer knows the field and the trajectory, the reader's user wants the file as well.
        raise e if str(path) in str(e) or str(out) in str(e) else UpsDataError(f"{path}: {e}") from None
    except OSError as e:
        raise UpsDataError(
            f"{out}: {e.strerror or e} ({e.filename or 'while writing'}): make room or repair it, and run the same "
            "command again; it goes on from what is finished"
        ) from e


class _Conversion:
    """One run of `convert`."""

    def __init__(
        self,
        out: Path,
        source: Source,
        job: Job,
        identity: Identity,
        split: Mapping[str, float] | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self._out, self._source, self._job, self._identity = out, source, job, identity
        self._split, self._progress = split, progress
        self._work = WorkFolder(out)
        self._any_finished = False

    def run(self, workers: int) -> Manifest:
        """With the folder to itself."""
        out = self._out
        if (out / MANIFEST).exists() and not (out / FOLDER).exists():
            return self._complete()
        made = not out.exists()
        if not made and (not out.is_dir() or (any(out.iterdir()) and not (out / FOLDER).is_dir())):
            raise UpsDataError(f"{out} is not an empty folder: choose another one")
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        try:
            with exclusive(self._work.lock):
                try:
                    return self._run_alone(workers)
                except BaseException:
                    self._work.tidy()
                    if not self._any_finished:
                        self._leave_as_it_was(made)
                    raise
        except BlockingIOError:
            raise UpsDataError(
                f"{out}: another conversion into this folder is under way: wait for its end, or choose another one"
            ) from None

    def _run_alone(self, workers: int) -> Manifest:
        if (self._out / MANIFEST).exists():  # all but the last step was done
            self._any_finished = True
            manifest = self._complete()
            self._work.remove()
            return manifest
        self._work.tidy()
        plan = self._plan()
        done = {shard.path: made for shard in plan.shards if (made := self._finished(shard)) is not None}
        self._any_finished = bool(done)
        counts = {shard.path: len(shard.trajectories) for shard in plan.shards if shard.path in done}

        def tell(shard: PlannedShard, number: int) -> None:
            counts[shard.path] = number
            self._progress(sum(counts.values()), plan.trajectories)

        self._progress(sum(counts.values()), plan.trajectories)
        maker = ShardMaker(self._job, self._source)
        missing = [shard for shard in plan.shards if shard.path not in done]
        with closing(self._make(maker, missing, workers, tell)) as making:
            for shard, made in making:
                self._work.publish(shard, made)
                self._any_finished = True
                done[shard.path] = made
                tell(shard, len(shard.trajectories))
        manifest = self._manifest(plan, maker, done)
        manifest.save(self._out)
        self._work.remove()
        return manifest

    def _make(
        self,
        maker: ShardMaker,
        missing: Sequence[PlannedShard],
        workers: int,
        tell: Callable[[PlannedShard, int], None],
    ) -> Generator[tuple[PlannedShard, Made], None, None]:
        if workers > 1 and len(missing) > 1:
            yield from make_in_workers(self._job, missing, self._work.aside, workers, tell)
            return
        for shard in missing:
            yield shard, maker.make(shard, self._work.aside(shard), partial(tell, shard))

    def _plan(self) -> Plan:
        """The plan that was begun here, or a new one."""
        plan, job = self._work.load_plan(), self._job
        if plan is None:
            others = [p.name for p in self._out.iterdir() if p.name != FOLDER]
            if others:
                self._any_finished = True  # not by this conversion: it is not to be touched
                raise UpsDataError(f"{self._out} is not an empty folder: choose another one")
            splits = assign_splits(self._source.splits(), self._split, job.stored.seed)
            plan = make_plan(self._source, job.path, self._identity, splits, job.stored, job.on_error)
            self._work.save_plan(plan)
        else:
            self._any_finished = True  # until it is known better
            difference = plan.identity.difference(self._identity)
            if difference is not None:
                raise UpsDataError(
                    f"{self._out}: holds an unfinished conversion, and {difference}: give the same command again, "
                    "remove the folder, or choose another one"
                )
            if plan.left_out and job.on_error == "raise":
                raise UpsDataError(next(iter(plan.left_out.values())).reason)
        self._job = job.taking(plan.like)
        return plan

    def _finished(self, shard: PlannedShard) -> Made | None:
        made = self._work.finished(shard)
        if made is not None and made.left_out and self._job.on_error == "raise":
            return None  # it is made again, which raises what was skipped
        return made

    def _manifest(self, plan: Plan, maker: ShardMaker, done: Mapping[str, Made]) -> Manifest:
        splits: dict[str, list[WrittenShard]] = {}
        left_out = dict(plan.left_out)
        for shard in plan.shards:
            made = done[shard.path]
            left_out.update(made.left_out)
            if made.written is not None:
                splits.setdefault(shard.split, []).append(made.written)
        if not splits:
            number = min(left_out)
            raise UpsDataError(
                f"none of {len(left_out)} trajectories can be stored; the first: {left_out[number].reason}"
            )
        source = {
            "path": str(self._job.path),
            "format": self._source.format,
            "fingerprint": self._identity.fingerprint,
        }
        manifest = dataset_manifest(maker.layout, maker.importance, source, splits)
        listed = [left_out[number] for number in sorted(left_out)]
        return manifest.model_copy(update={"left_out": listed or None})

    def _complete(self) -> Manifest:
        """The dataset that is there, if this very conversion made it."""
        manifest = Manifest.load(self._out)
        if manifest.source.get("fingerprint") != self._identity.fingerprint:
            raise UpsDataError(f"{self._out} already holds a dataset: choose another folder, or remove it first")
        for split in manifest.splits.values():
            for shard in split.shards:
                if size_of(self._out / shard.path) != shard.bytes:
                    raise UpsDataError(
                        f"{self._out} already holds this dataset, but its {shard.path} is damaged: remove the folder "
                        "and convert anew"
                    )
        return manifest

    def _leave_as_it_was(self, made: bool) -> None:
        """Nothing is finished: no trace."""
        plan = self._work.load_plan()
        if plan is not None and any(self._work.finished(shard) for shard in plan.shards):
            return  # it was stopped just as it had recorded the first one
        for split in {shard.split for shard in plan.shards} if plan is not None else ():
            shutil.rmtree(self._out / split, ignore_errors=True)
        self._work.remove()
        if made:
            shutil.rmtree(self._out, ignore_errors=True)


def _check_options(stored: Stored, workers: int, on_error: str) -> None:
    if stored.blocks < 1:
        raise UpsDataError(f"blocks={stored.blocks}: give 1 for whole frames, or more")
    if stored.codec not in codecs.CODECS:
        raise UpsDataError(f"codec {stored.codec!r}: choose one of {', '.join(codecs.CODECS)}")
    if workers < 1:
        raise UpsDataError(f"workers={workers}: give 1 for this process alone, or more")
    if on_error not in get_args(OnError):
        raise UpsDataError(f"on_error={on_error!r}: choose one of {', '.join(get_args(OnError))}")


def assign_splits(given: Sequence[str | None], shares: Mapping[str, float] | None, seed: int) -> list[str]:
    """The split of every trajectory: the source's own, or shares of a seeded permutation.

    Shares become whole numbers by largest remainder; a split with a share above zero gets at least one trajectory
    where there are enough.

    Raises:
        UpsDataError: shares that do not add up to 1, or shares where the source brings its own splits.
    """
    if any(given):
        if shares is not None:
            raise UpsDataError(
                f"the source brings its own splits {sorted(Counter(filter(None, given)))}: leave --split out"
            )
        if not all(given):
            raise UpsDataError("the source assigns only some of its trajectories to a split: move the others too")
        return [s for s in given if s is not None]
    shares = DEFAULT_SPLIT if shares is None else shares
    values = np.array(list(shares.values()), np.float64)
    if (values < 0).any() or abs(values.sum() - 1) > 1e-6:
        raise UpsDataError(f"split shares {dict(shares)} must be positive and add up to 1")
    total = len(given)
    counts = np.floor(values * total + 1e-9).astype(int)
    remainder = values * total - counts
    for i in np.argsort(-remainder, kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    for i in np.flatnonzero((counts == 0) & (values > 0)):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[i] += 1
    order = np.argsort(hash_key(seed, np.arange(total)), kind="stable")
    names = np.repeat(np.array(list(shares), object), counts)
    splits = np.empty(total, object)
    splits[order] = names
    return splits.tolist()
