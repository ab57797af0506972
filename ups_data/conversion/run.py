"""One run of a conversion: plan, shards, manifest, with the folder to itself."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial

from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.shard_plan import Plan, PlannedShard, make_plan
from ups_data.conversion.shard_task import Job, Made, ShardMaker
from ups_data.conversion.splits import assign_splits
from ups_data.conversion.work_folder import WorkFolder
from ups_data.conversion.workers import make_in_workers
from ups_data.errors import UpsDataError
from ups_data.schema import Manifest
from ups_data.sources import Source
from ups_data.writing.shard.written import WrittenShard, dataset_manifest

# A chunk of blosc is compressed by this at most: lz4 by its format, zstd by what constants become.
COMPRESSION = {"none": 1, "lz4": 255, "zstd": 1000}


class Conversion:
    """One run of `convert`."""

    def __init__(
        self,
        work: WorkFolder,
        source: Source,
        job: Job,
        identity: Identity,
        split: Mapping[str, float] | None,
        progress: Callable[[int, int], None],
        *,
        card: bool = False,
    ) -> None:
        self._work, self._source, self._job, self._identity = work, source, job, identity
        self._split, self._progress, self._card = split, progress, card
        self._name = work.name
        self._any_finished = False
        self._dask: str | None = None

    def run(self, workers: int, timeout: float, dask: str | None = None) -> Manifest:
        """With the folder to itself.

        Args:
            dask: where a Dask cluster is that writes the shards; None: `workers` processes of this machine.
        """
        self._dask = dask
        if self._work.has_manifest() and not self._work.is_unfinished():
            return self._complete()
        try:
            with self._work.held():
                try:
                    try:
                        return self._run_alone(workers, timeout)
                    except OSError:
                        self._work.check_held()  # which says more
                        raise
                except BaseException:
                    self._work.abandon()
                    if not self._any_finished:
                        self._work.undo()
                    raise
        except BlockingIOError:
            raise UpsDataError(
                f"{self._name}: another conversion into this folder is under way: wait for its end, or choose another "
                "one"
            ) from None

    def _run_alone(self, workers: int, timeout: float) -> Manifest:
        if self._work.has_manifest():  # all but the last step was done
            self._any_finished = True
            manifest = self._complete()
            self._work.remove()
            return manifest
        plan = self._plan()
        self._work.tidy()
        maker = ShardMaker(self._job, self._source)
        done = {shard.path: made for shard in plan.shards if (made := self._finished(shard, maker)) is not None}
        self._any_finished = bool(done)
        counts = {shard.path: len(shard.trajectories) for shard in plan.shards if shard.path in done}

        def tell(shard: PlannedShard, number: int) -> None:
            counts[shard.path] = number
            self._progress(sum(counts.values()), plan.trajectories)

        self._progress(sum(counts.values()), plan.trajectories)
        missing = [shard for shard in plan.shards if shard.path not in done]
        most = COMPRESSION[self._job.options.codec]  # how small they become is not known, but they cannot be smaller
        self._work.check_room([shard.bytes // most for shard in missing])
        with closing(self._make(maker, missing, workers, timeout, tell)) as making:
            for shard, made in making:
                self._check_source(self._identity.changed(self._job.path))
                self._work.publish(shard, made)
                self._any_finished = True
                done[shard.path] = made
                tell(shard, len(shard.trajectories))
        manifest = self._manifest(plan, maker, done)
        self._check_source(self._identity.difference(self._identity.again(self._job.path)))
        self._work.check_published([made.written.spec for made in done.values() if made.written is not None])
        if self._card:  # before the manifest: a dataset that is complete has its card
            from ups_data.card.write import write_own_card  # late: a worker draws nothing

            write_own_card(self._work.store(), manifest)
        self._work.save_manifest(manifest)
        self._work.remove()
        return manifest

    def _check_source(self, change: str | None) -> None:
        if change is not None:
            raise UpsDataError(
                f"{self._job.path}: {change} while it was converted: wait until nothing writes to it, remove "
                f"{self._name}, and convert it anew"
            )

    def _make(
        self,
        maker: ShardMaker,
        missing: Sequence[PlannedShard],
        workers: int,
        timeout: float,
        tell: Callable[[PlannedShard, int], None],
    ) -> Generator[tuple[PlannedShard, Made], None, None]:
        if self._dask is not None and missing:
            from ups_data.conversion.cluster.run import make_on_cluster  # late: needs distributed

            identity, work = self._identity, self._work
            yield from make_on_cluster(
                self._dask, self._job, missing, identity, work.delivery(), work.receive, tell, timeout
            )
            return
        if workers > 1 and len(missing) > 1:
            yield from make_in_workers(self._job, missing, self._work.aside, workers, tell, timeout)
            return
        for shard in missing:
            yield shard, maker.make(shard, self._work.aside(shard), partial(tell, shard))

    def _plan(self) -> Plan:
        """The plan that was begun here, or a new one."""
        job = self._job
        plan = self._work.load_plan()
        if plan is not None:
            difference = plan.identity.difference(self._identity)
            if difference is not None:
                raise UpsDataError(
                    f"{self._name}: holds an unfinished conversion, and {difference}: give the same command again, "
                    "remove the folder, or choose another one"
                )
        splits = assign_splits(self._source.splits(), self._split, job.options.seed)
        if plan is None:
            if not self._work.is_empty():
                raise UpsDataError(f"{self._name} is not an empty folder: choose another one")
            plan = make_plan(self._source, job.path, self._identity, splits, job.options, job.on_error)
            self._work.save_plan(plan)
        elif not plan.is_of(splits):
            raise UpsDataError(f"{self._name}: its plan is not of this source: remove the folder and convert anew")
        elif plan.left_out and job.on_error == "raise":
            raise UpsDataError(next(iter(plan.left_out.values())).reason)
        self._job = job.taking(plan.like)
        return plan

    def _finished(self, shard: PlannedShard, maker: ShardMaker) -> Made | None:
        made = self._work.finished(shard)
        if made is None or (made.written is not None and not made.written.fits(maker.layout)):
            return None
        if made.left_out and self._job.on_error == "raise":
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
        return manifest.model_copy(update={"left_out": listed or None, "not_stored": plan.not_stored or None})

    def _complete(self) -> Manifest:
        """The dataset that is there, if this very conversion made it."""
        manifest = self._work.load_manifest()
        if manifest.source.get("fingerprint") != self._identity.fingerprint:
            raise UpsDataError(f"{self._name} already holds a dataset: choose another folder, or remove it first")
        for split in manifest.splits.values():
            for shard in split.shards:
                if not self._work.is_whole(shard):
                    raise UpsDataError(
                        f"{self._name} already holds this dataset, but its {shard.path} is damaged: remove the folder "
                        "and convert anew"
                    )
        return manifest
