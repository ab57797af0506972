"""One run of a conversion: plan, shards, manifest, with the folder to itself."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial

from ups_data.conversion.appending.base import Base
from ups_data.conversion.appending.record import Record, digest_of
from ups_data.conversion.fingerprint import Identity
from ups_data.conversion.planning.apart import apart
from ups_data.conversion.shard_plan import Plan, PlannedShard, make_plan
from ups_data.conversion.shard_task import Job, Made, ShardMaker
from ups_data.conversion.source_runs import open_run
from ups_data.conversion.splitting.dealing import Dealing
from ups_data.conversion.work_folder import WorkFolder
from ups_data.conversion.workers import make_in_workers
from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, Manifest
from ups_data.schema.file import RECORD
from ups_data.sources import Source
from ups_data.sources.meshes.apart.source import reading_here
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
        dealing: Dealing,
        progress: Callable[[int, int], None],
        *,
        card: bool = False,
    ) -> None:
        self._work, self._source, self._job, self._identity = work, source, job, identity
        self._dealing, self._progress, self._card = dealing, progress, card
        self._name = work.name
        self._any_finished = False
        self._dask: str | None = None
        self._base: Base | None = None

    def run(self, workers: int, timeout: float, dask: str | None = None) -> Manifest:
        """With the folder to itself.

        Args:
            dask: where a Dask cluster is that writes the shards; None: `workers` processes of this machine.
        """
        self._dask = dask
        if self._work.has_manifest() and not self._work.is_unfinished():
            base = self._load_base()
            if self._is_of_this(base):
                return self._complete(base.manifest)
            base.check(self._identity)  # before anything is touched
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
        begun = self._work.load_plan()
        if self._work.has_manifest():
            base = self._load_base()
            begun = self._begun_append(begun, base)
            if begun is None and self._is_of_this(base):  # all but the last step was done
                self._any_finished = True
                manifest = self._complete(base.manifest)
                self._work.remove()
                return manifest
            base.check(self._identity)
            self._base = base
        elif begun is not None and begun.base is not None:
            raise UpsDataError(
                f"{self._name}: the dataset that was appended to is gone: put dataset.json back, or remove the folder"
            )
        plan = self._plan(begun)
        # A plan that was just made was made by a process that has read everything; one that was found, by anybody.
        with reading_here() if begun is None else nullcontext():
            return self._write(plan, workers, timeout)

    def _write(self, plan: Plan, workers: int, timeout: float) -> Manifest:
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
        self._work.save_manifest(manifest, self._record(plan), None if self._base is None else self._base.digest)
        self._work.remove()
        return manifest

    def _check_source(self, change: str | None) -> None:
        if change is not None and self._base is not None:
            raise UpsDataError(
                f"{self._job.path}: {change} while its runs were appended: wait until nothing writes to it, and run "
                f"the same command again; {self._name} is as it was"
            )
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

    def _begun_append(self, begun: Plan | None, base: Base) -> Plan | None:
        """The plan of an append to this very dataset by this very conversion; another one's is discarded."""
        if begun is None:
            return None
        if begun.base == base.digest and begun.identity.difference(self._identity) is None:
            return begun
        if not self._is_of_this(base):
            base.check(self._identity)  # before what it has made is lost
        listed = {shard.path for split in base.manifest.splits.values() for shard in split.shards}
        self._work.discard([shard for shard in begun.shards if shard.path not in listed])
        return None

    def _plan(self, begun: Plan | None) -> Plan:
        """The plan that was begun here, or a new one."""
        job, base = self._job, self._base
        if begun is not None:
            difference = begun.identity.difference(self._identity)
            if difference is not None:
                raise UpsDataError(
                    f"{self._name}: holds an unfinished conversion, and {difference}: give the same command again, "
                    "remove the folder, or choose another one"
                )
        if base is not None and base.manifest.importance:  # also that which was added to the dataset later
            job = replace(job, options=replace(job.options, importance=tuple(base.manifest.importance)))
        dealt = self._dealing.deal(self._source, job, base)
        self._job = job = replace(job, parts=dealt.parts)
        if begun is None:
            if base is None and not self._work.is_empty():
                raise UpsDataError(f"{self._name} is not an empty folder: choose another one")
            if dealt.addition is not None and base is not None:
                maker = ShardMaker(job.taking(dealt.addition.like), self._source)
                base.check_schema(maker.layout, maker.importance.listed())
            trajectories = job.trajectories(self._source)
            choices = job.options, job.on_error, dealt.addition
            make = partial(make_plan, trajectories, job.path, self._identity, dealt.splits, *choices)
            begun = apart(make, job.path)
            self._work.save_plan(begun)
        elif not begun.is_of(dealt.splits):
            raise UpsDataError(f"{self._name}: its plan is not of this source: remove the folder and convert anew")
        elif begun.left_out and job.on_error == "raise":
            raise UpsDataError(next(iter(begun.left_out.values())).reason)
        self._job, self._outside = job.taking(begun.like), dealt.outside
        return begun

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
        base = self._base
        if not splits and not left_out and base is None:  # a plan that somebody has changed
            raise UpsDataError(f"{self._name}: its plan has no trajectory: remove the folder and convert anew")
        if not splits and base is None:
            number = min(left_out)
            raise UpsDataError(
                f"none of {len(left_out)} trajectories can be stored; the first: {left_out[number].reason}"
            )
        source = {
            "path": str(self._job.path),
            "format": self._source.format,
            "fingerprint": self._identity.fingerprint,
            **self._dealing.told(),
        }
        manifest = dataset_manifest(
            maker.layout, maker.importance, source, splits, None if base is None else base.manifest
        )
        before = base.left_out(self._job.path) if base is not None else []
        listed = [*before, *(left_out[number] for number in sorted(left_out))]
        listed += [entry for entry in self._outside if entry not in listed]
        not_stored = {**((base.manifest.not_stored if base is not None else None) or {}), **plan.not_stored}
        return manifest.model_copy(update={"left_out": listed or None, "not_stored": not_stored or None})

    def _record(self, plan: Plan) -> Record:
        if self._base is not None and self._base.record is not None:
            return Record(identity=self._identity, like=self._base.record.like)
        like = open_run(self._job.trajectories(self._source), plan.like, self._job.path)
        return Record(identity=self._identity, like=(like.source, like.key))

    def _load_base(self) -> Base:
        text = self._work.read(MANIFEST) or b""  # before it is loaded: another append may take its place
        record = Record.from_bytes(self._work.read(RECORD) or b"")
        return Base(self._name, self._work.load_manifest(), digest_of(text), record)

    def _is_of_this(self, base: Base) -> bool:
        return base.manifest.source.get("fingerprint") == self._identity.fingerprint

    def _complete(self, manifest: Manifest) -> Manifest:
        """The dataset that is there, which this very conversion made."""
        for split in manifest.splits.values():
            for shard in split.shards:
                if not self._work.is_whole(shard):
                    raise UpsDataError(
                        f"{self._name} already holds this dataset, but its {shard.path} is damaged: remove the folder "
                        "and convert anew"
                    )
        return manifest
