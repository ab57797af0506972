"""The folder `.conversion` of an unfinished dataset: its plan, and a record of each shard that is finished.

A shard is renamed into its place first and recorded then: one without a record is made again, a record without its
shard is of no account. The folder goes when the manifest is there.

`out` may have been handed over by somebody else. What is read here is validated before it is used; no link in `out` is
followed; and what a run removes is what it made, and what lies in the places of its own plan.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from ups_data.atomic import exclusive, remove_debris, replacing
from ups_data.conversion.appending.record import Record, unchanged
from ups_data.conversion.cluster.delivery import MARK, Delivery, SharedFolder
from ups_data.conversion.shard_plan import Plan, PlannedShard
from ups_data.conversion.shard_task import Made
from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, Manifest, ShardSpec, limits
from ups_data.schema.file import RECORD
from ups_data.schema.texts.json_text import parse_json
from ups_data.store.local import LocalStore
from ups_data.store.object_store import ObjectStore
from ups_data.store.openings.making import make_openings
from ups_data.writing.folders import check_inside, is_inside, make_folder, read_own, remove_empty, remove_folder
from ups_data.writing.shard.written import is_whole, sync_shard

FOLDER = ".conversion"


class WorkFolder:
    """`out/.conversion`, and what a run makes in `out`."""

    def __init__(self, out: Path) -> None:
        self._out, self._path = out, out / FOLDER
        self._lock = self._path / ".lock"
        self._writing = self._path / "writing"
        self._asides = self._writing / str(os.getpid())
        self._made: list[Path] = []  # folders that this run has made, in order
        self._renamed: list[tuple[Path, Path]] = []  # shards that this run has put into their places, their records
        self._new_plan = False
        self._held: os.stat_result | None = None  # the lock
        self._shared = self._asides  # with tasks in other processes

    @contextmanager
    def held(self) -> Iterator[None]:
        """With `out` and this folder made if need be, and for this process alone.

        Raises:
            UpsDataError: `out` holds something else, or links.
            BlockingIOError: another conversion has it.
        """
        out, made = self._out, not self._out.exists()
        check_inside(out, self._path)
        ours = self._path.is_dir() or self.has_manifest()
        if not made and (not out.is_dir() or (any(out.iterdir()) and not ours)):
            raise UpsDataError(f"{out} is not an empty folder: choose another one")
        try:
            if made:
                out.mkdir(parents=True)
                self._made.append(out)
            if make_folder(out, self._path):
                self._made.append(self._path)
            with exclusive(self._lock):
                self._held = os.lstat(self._lock)
                yield
        except BaseException:
            for folder in reversed(self._made):
                remove_empty(folder)
            raise

    def tidy(self) -> None:
        """Remove what a killed conversion was writing. Only for the process that holds the lock."""
        remove_folder(self._out, self._writing)
        with suppress(FileNotFoundError):
            for name in (MANIFEST, RECORD):
                remove_debris(self._out / name)

    def abandon(self) -> None:
        """Remove what this run was writing, with the folders that this had made again if `out` was removed."""
        remove_folder(self._out, self._asides)
        for folder in (self._writing, self._path, self._out):
            remove_empty(folder)

    @property
    def name(self) -> str:
        """What messages call the dataset's place."""
        return str(self._out)

    def store(self) -> ObjectStore:
        """Where the dataset lies."""
        return LocalStore(self._out)

    def has_manifest(self) -> bool:
        """Whether the dataset is complete, but perhaps for this folder's removal."""
        return (self._out / MANIFEST).exists()

    def is_unfinished(self) -> bool:
        """Whether a conversion has left its plan or its records."""
        return self._path.exists()

    def load_manifest(self) -> Manifest:
        """Of the complete dataset."""
        return Manifest.load(self._out)

    def read(self, key: str) -> bytes | None:
        """A file of the dataset; None: it is not there, or cannot be read."""
        with suppress(OSError, ValueError):
            return read_own(self._out / key, limits.JSON_BYTES)
        return None

    def save_manifest(self, manifest: Manifest, record: Record, base: str | None = None) -> None:
        """The last step but one: the dataset is complete.

        Args:
            base: digest of the manifest whose place it takes; None: there is none.
        """
        with unchanged(self._out, base):
            make_openings(self._out, manifest)
            with replacing(self._out / RECORD) as file:
                file.write(record.to_bytes())
            manifest.save(self._out)

    def is_whole(self, spec: ShardSpec) -> bool:
        """Whether a shard is in its place as it was written; see `written.is_whole`."""
        return is_whole(self._out, spec)

    def is_empty(self) -> bool:
        """Whether nothing but this folder is there."""
        return all(path.name == FOLDER for path in self._out.iterdir())

    def load_plan(self) -> Plan | None:
        """The plan of the conversion that was begun here.

        Raises:
            UpsDataError: it is damaged, or of another version.
        """
        path = self._path / "plan.json"
        try:
            return Plan.model_validate(parse_json(read_own(path, limits.JSON_BYTES)))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            reason = " ".join(error.errors()[0]["msg"].removeprefix("Value error, ").split())
        except (OSError, ValueError) as error:
            reason = str(error)
        raise UpsDataError(
            f"{path}: is damaged or of another version ({reason}): remove {self._out} and convert anew"
        ) from None

    def save_plan(self, plan: Plan) -> None:
        """Write the plan, once."""
        self._new_plan = True
        with replacing(self._path / "plan.json") as file:
            file.write(plan.model_dump_json().encode())

    def discard(self, shards: Sequence[PlannedShard]) -> None:
        """Remove the plan of an append that will not be finished, and its shards with their records."""
        for shard in shards:
            self._record(shard).unlink(missing_ok=True)
            remove_folder(self._out, self._out / shard.path)
        (self._path / "plan.json").unlink(missing_ok=True)

    def check_room(self, sizes: Sequence[int]) -> None:
        """Look at the free space before anything is written.

        Args:
            sizes: of the shards that are to be written, in bytes, at least.

        Raises:
            UpsDataError: there is less.
        """
        needed, free = sum(sizes), shutil.disk_usage(self._out).free
        if needed > free:
            raise UpsDataError(
                f"{self._out}: {needed / 1e9:,.1f} GB are to be written, {free / 1e9:,.1f} GB are free: make room, "
                "choose another disk, or compress (--codec lz4)"
            )

    def aside(self, shard: PlannedShard) -> Path:
        """Where a shard is written.

        Raises:
            UpsDataError: a link leads out of `out`.
        """
        return check_inside(self._out, self._asides / shard.path.replace("/", "-"))

    def delivery(self) -> Delivery:
        """How tasks in other processes, perhaps on other machines, hand over shards to this run."""
        folder = self._out.absolute() / FOLDER / "writing" / str(os.getpid()) / uuid.uuid4().hex
        for path in (self._writing, self._asides, self._asides / folder.name):
            make_folder(self._out, path)
        (folder / MARK).touch()
        self._shared = folder
        return SharedFolder(self.name, folder)

    def receive(self, shard: PlannedShard, name: str) -> None:
        """Take over what a task has delivered under that name; `publish` follows."""
        delivered, aside = check_inside(self._shared, self._shared / name), self.aside(shard)
        remove_folder(self._out, aside)
        if delivered.exists():  # not if all of its trajectories were left out
            delivered.rename(aside)

    def publish(self, shard: PlannedShard, made: Made) -> None:
        """Rename a shard that was written aside into its place, and record it.

        Raises:
            UpsDataError: a link leads out of `out`, or `out` is not the folder any more that it was.
        """
        self.check_held()
        place = self._out / shard.path
        remove_folder(self._out, place)
        if made.written is not None:
            if make_folder(self._out, place.parent):
                self._made.append(place.parent)
            check_inside(self._out, place)
            sync_shard(self.aside(shard))
            self._renamed.append((place, self._record(shard)))
            self.aside(shard).rename(place)
        self._save_record(shard, made)

    def _save_record(self, shard: PlannedShard, made: Made) -> None:
        with replacing(self._record(shard)) as file:
            file.write(json.dumps(made.to_json()).encode())

    def check_published(self, shards: Iterable[ShardSpec]) -> None:
        """Compare what is there with what was written, before it is called a dataset.

        Raises:
            UpsDataError: `out` was removed or changed meanwhile.
        """
        self.check_held()
        for spec in shards:
            if not self.is_whole(spec):
                raise UpsDataError(
                    f"{self.name}: {spec.path} was removed or changed while others were written: run the same command "
                    "again; it makes that one again"
                )

    def check_held(self) -> None:
        """Whether this process has still to itself what it began with.

        Raises:
            UpsDataError: `out` was removed or replaced.
        """
        try:
            if self._held is not None and os.path.samestat(self._held, os.lstat(self._lock)):
                return
        except FileNotFoundError:
            pass
        raise UpsDataError(
            f"{self._out}: was removed or replaced while it was written: remove what is left of it, and convert anew"
        )

    def finished(self, shard: PlannedShard) -> Made | None:
        """What is recorded of a shard; None unless it is there as it was, see `is_whole`."""
        try:
            made = Made.from_json(parse_json(read_own(self._record(shard), limits.JSON_BYTES)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if not made.is_of(shard) or not is_inside(self._out, self._out / shard.path):
            return None
        return made if made.written is None or self._is_recorded_whole(made.written.spec) else None

    def remove(self) -> None:
        """The plan and the records; the lock file last."""
        for path in self._path.iterdir():
            if path.is_dir() and not path.is_symlink():
                remove_folder(self._out, path)
            elif path != self._lock:
                path.unlink()
        remove_folder(self._out, self._path)

    def undo(self) -> None:
        """Leave `out` as this run found it, unless a shard is finished: it was stopped just as it had recorded that."""
        if any(is_inside(self._out, place) and record.exists() for place, record in self._renamed):
            return
        for place, _ in self._renamed:
            remove_folder(self._out, place)
        with suppress(FileNotFoundError):
            if self._new_plan:
                (self._path / "plan.json").unlink()
            for folder in reversed(self._made):
                if folder == self._path:
                    self.remove()
                remove_empty(folder)

    def _is_recorded_whole(self, spec: ShardSpec) -> bool:
        return self.is_whole(spec)

    def _record(self, shard: PlannedShard) -> Path:
        return self._path / f"{shard.path.replace('/', '-').removesuffix('.zarr')}.json"
