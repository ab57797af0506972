"""The work folder of a conversion to a store.

A shard is written and recorded in a local folder as for a local dataset. Then its objects are uploaded, the seal last,
its record after them, and the local copy goes. Plan and records lie in the store too, under `.conversion/`, so that a
later run on another machine goes on as well. The manifest is put last, and only where there is none.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ups_data.conversion.appending.record import Record, digest_of
from ups_data.conversion.cluster.delivery import Delivery, StoreUpload, upload_shard
from ups_data.conversion.shard_plan import Plan, PlannedShard
from ups_data.conversion.shard_task import Made
from ups_data.conversion.work_folder import FOLDER, WorkFolder
from ups_data.errors import StoreError, UpsDataError
from ups_data.schema import MANIFEST, Manifest, ShardSpec, limits
from ups_data.schema.file import RECORD
from ups_data.schema.trajectories import SEAL
from ups_data.store.moving.lock import StoreLock
from ups_data.store.moving.staging import staging_folder
from ups_data.store.moving.writers import ExistsError, ObstoreWriter, writer_of
from ups_data.store.object_store import ObjectStore, get_if_there
from ups_data.store.openings.making import make_openings
from ups_data.writing.folders import remove_empty, remove_folder

LOCK = f"{FOLDER}/lock"
PLAN = "plan.json"


class UploadFolder(WorkFolder):
    """`WorkFolder` of a dataset in a store. `out` is a local folder, of this user and this place.

    Raises:
        UpsDataError: the store can only be read.
    """

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(staging_folder(str(store)) / "dataset")
        self._store = store
        writer = writer_of(store)
        if not isinstance(writer, ObstoreWriter):
            raise UpsDataError(f"{store}: give a URL such as s3://bucket/folder, or a folder")
        self._writer = writer
        self._remote_lock = StoreLock(writer, LOCK, self._out)
        self._uploaded_plan = False
        self._in_store: set[str] = set()  # shards that tasks in other processes have put there

    @property
    def name(self) -> str:
        """The URL."""
        return str(self._store)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `WorkFolder.held`: here and in the store."""
        with super().held(), self._remote_lock.held():
            self._bring_records()
            yield

    def store(self) -> ObjectStore:
        """See `WorkFolder.store`."""
        return self._store

    def has_manifest(self) -> bool:
        """See `WorkFolder.has_manifest`."""
        return self.read(MANIFEST) is not None

    def is_unfinished(self) -> bool:
        """See `WorkFolder.is_unfinished`."""
        return any(key != LOCK for key, _ in self._store.list(FOLDER))

    def load_manifest(self) -> Manifest:
        """See `WorkFolder.load_manifest`."""
        return Manifest.load(self._store)

    def read(self, key: str) -> bytes | None:
        """See `WorkFolder.read`."""
        return get_if_there(self._store, key, limits.JSON_BYTES)

    def save_manifest(self, manifest: Manifest, record: Record, base: str | None = None) -> None:
        """See `WorkFolder.save_manifest`: by a conditional put, or, in the place of another one, under the lock."""
        make_openings(self._store, manifest)
        self._store.put(RECORD, record.to_bytes())
        text = manifest.to_bytes()
        if base is not None:
            self.check_held()
            if digest_of(self.read(MANIFEST) or b"") != base:
                raise UpsDataError(f"{self.name} was changed meanwhile: run the same command again")
            self._store.put(MANIFEST, text)
            return
        try:
            self._writer.put_new(MANIFEST, text)
        except ExistsError:
            raise UpsDataError(f"{self.name} holds another dataset by now: choose another place") from None

    def is_whole(self, spec: ShardSpec) -> bool:
        """See `WorkFolder.is_whole`."""
        try:
            seal = self._store.get(f"{spec.path}/{SEAL}", limits.JSON_BYTES)
            size = sum(size for _, size in self._store.list(spec.path))
        except StoreError:
            return False
        return f"sha256:{hashlib.sha256(seal).hexdigest()}" == spec.digest and size == spec.bytes

    def is_empty(self) -> bool:
        """See `WorkFolder.is_empty`."""
        return all(key.startswith(f"{FOLDER}/") for key, _ in self._store.list(""))

    def save_plan(self, plan: Plan) -> None:
        """See `WorkFolder.save_plan`."""
        super().save_plan(plan)
        self._uploaded_plan = True
        self._store.put(f"{FOLDER}/{PLAN}", (self._path / PLAN).read_bytes())

    def check_room(self, sizes: Sequence[int]) -> None:
        """See `WorkFolder.check_room`: shards go one by one."""
        super().check_room([max(sizes, default=0)])

    def delivery(self) -> Delivery:
        """See `WorkFolder.delivery`: tasks put shards into the store themselves."""
        return StoreUpload(self._store, LOCK, self._remote_lock.text)

    def receive(self, shard: PlannedShard, name: str) -> None:
        """See `WorkFolder.receive`."""
        self._in_store.add(shard.path)

    def publish(self, shard: PlannedShard, made: Made) -> None:
        """See `WorkFolder.publish`, and upload it."""
        if shard.path in self._in_store:
            self.check_held()
            self._save_record(shard, made)
            self._upload_record(shard)
            return
        super().publish(shard, made)
        self._upload(shard)

    def check_held(self) -> None:
        """See `WorkFolder.check_held`: here and in the store."""
        super().check_held()
        self._remote_lock.check()

    def finished(self, shard: PlannedShard) -> Made | None:
        """See `WorkFolder.finished`. One that was finished here but not uploaded is uploaded."""
        made = super().finished(shard)
        if made is not None and made.written is not None and not self._lies_in_store(made):
            if not super().is_whole(made.written.spec):
                return None
            self._upload(shard)
        return made

    def remove(self) -> None:
        """See `WorkFolder.remove`: here and in the store; the lock goes when it is released."""
        super().remove()
        remove_folder(self._out.parent, self._out)
        remove_empty(self._out.parent)
        for key, _ in list(self._store.list(FOLDER)):
            if key != LOCK:
                self._writer.remove(key)

    def discard(self, shards: Sequence[PlannedShard]) -> None:
        """See `WorkFolder.discard`: here and in the store."""
        super().discard(shards)
        for shard in shards:
            for key in (f"{FOLDER}/{self._record(shard).name}", *[key for key, _ in self._store.list(shard.path)]):
                self._writer.remove(key)
        self._writer.remove(f"{FOLDER}/{PLAN}")

    def undo(self) -> None:
        """See `WorkFolder.undo`."""
        super().undo()
        if self._uploaded_plan and not (self._path / PLAN).exists():
            self._writer.remove(f"{FOLDER}/{PLAN}")

    def _lies_in_store(self, made: Made) -> bool:
        return made.written is None or self.is_whole(made.written.spec)

    def _is_recorded_whole(self, spec: ShardSpec) -> bool:
        return super().is_whole(spec) or self.is_whole(spec)

    def _upload(self, shard: PlannedShard) -> None:
        """The objects of a shard, its seal last; then its record. Its local files go."""
        self.check_held()
        place = self._out / shard.path
        upload_shard(self._writer, place, shard.path)
        self._upload_record(shard)
        remove_folder(self._out, place)

    def _upload_record(self, shard: PlannedShard) -> None:
        record = self._record(shard)
        self._store.put(f"{FOLDER}/{record.name}", record.read_bytes())

    def _bring_records(self) -> None:
        """Plan and records that another machine's run has left in the store."""
        for key, size in self._store.list(FOLDER):
            place = self._path / Path(key).name
            if place.suffix == ".json" and key == f"{FOLDER}/{place.name}" and not place.exists():
                place.write_bytes(self._store.get(key, max(size, limits.METADATA_BYTES)))
