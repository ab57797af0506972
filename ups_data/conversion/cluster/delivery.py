"""How a shard that another process wrote reaches the dataset. A delivery travels with the task that writes the shard.

A task may run twice, or end when nobody waits for it any more: if Dask loses a worker that is alive, if the client was
killed. So each run of a task writes under a name of its own, and looks whether the conversion is still under way.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ups_data.conversion.shard_plan import PlannedShard
from ups_data.conversion.shard_task import Made
from ups_data.errors import StoreError, UpsDataError
from ups_data.schema import limits
from ups_data.schema.trajectories import SEAL
from ups_data.store.moving.writers import Writer, writer_of
from ups_data.store.object_store import ObjectStore
from ups_data.writing.folders import remove_empty, remove_folder
from ups_data.writing.shard.written import files_of

# In the folder that a run shares with its tasks: a folder without it was made again by a task that came too late.
MARK = ".of-a-run"


class Delivery(Protocol):
    """Where the shards of one run of a conversion go."""

    def check(self) -> None:
        """Raises UpsDataError if the place is not in reach, or the run has ended."""

    def deliver(self, shard: PlannedShard, make: Callable[[Path], Made], scratch: Path) -> tuple[Made, str]:
        """Write a shard and hand it over.

        Args:
            make: writes it into the folder that it is given.
            scratch: a folder of the machine's own.

        Returns:
            What was made, and by what name the client finds it.
        """


@dataclass(frozen=True)
class SharedFolder:
    """To a folder that the client and the tasks' machines share; the client renames what is there into its place.

    Attributes:
        out: of the dataset, as messages name it.
        folder: in it, of one run; absolute. The client makes and removes it.
    """

    out: str
    folder: Path

    def check(self) -> None:
        """See `Delivery.check`."""
        if not (self.folder / MARK).is_file():
            raise UpsDataError(
                f"{self.out}: is not in reach, or was removed: give a folder that every worker has under the same "
                "path, or a URL such as s3://bucket/run"
            )

    def deliver(self, shard: PlannedShard, make: Callable[[Path], Made], scratch: Path) -> tuple[Made, str]:
        """See `Delivery.deliver`."""
        self.check()
        aside = self.folder / f"{shard.path.replace('/', '-')}.{uuid.uuid4().hex}"
        try:
            made = make(aside)
            self.check()
        except BaseException:
            remove_folder(self.folder, aside)
            if not (self.folder / MARK).exists():  # what was written has made the run's folders again
                for folder in (self.folder, *list(self.folder.parents)[:3]):
                    remove_empty(folder)
            raise
        return made, aside.name


@dataclass(frozen=True)
class StoreUpload:
    """To an object store, the seal last. The client records what is there.

    Attributes:
        lock, holder: an object that says so as long as the conversion is under way.
    """

    store: ObjectStore
    lock: str
    holder: bytes

    def check(self) -> None:
        """See `Delivery.check`."""
        try:
            held = self.store.get(self.lock, limits.METADATA_BYTES)
        except StoreError as error:
            raise UpsDataError(f"{self.store}: is not in reach, or the conversion to it has ended ({error})") from None
        if held != self.holder:
            raise UpsDataError(f"{self.store}: the conversion to it has ended, or another one has taken its place")

    def deliver(self, shard: PlannedShard, make: Callable[[Path], Made], scratch: Path) -> tuple[Made, str]:
        """See `Delivery.deliver`."""
        self.check()
        aside = scratch / f"{shard.path.replace('/', '-')}.{uuid.uuid4().hex}"
        try:
            made = make(aside)
            self.check()
            if made.written is not None:
                upload_shard(writer_of(self.store), aside, shard.path)
        finally:
            remove_folder(scratch, aside)
        return made, shard.path


def upload_shard(writer: Writer, folder: Path, path: str) -> None:
    """Put the files of a shard, the seal last.

    Args:
        path: of the shard in the dataset.

    Raises:
        StoreError: the store cannot be written to.
    """
    seal = folder / SEAL
    for file in sorted(files_of(folder), key=lambda file: file == seal):
        writer.put_file(f"{path}/{file.relative_to(folder).as_posix()}", file)
