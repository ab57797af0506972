"""The folder `.conversion` of an unfinished dataset: its plan, and a record of each shard that is finished.

A shard is renamed into its place first and recorded then: one without a record is made again, a record without its
shard is of no account. The folder goes when the manifest is there.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from ups_data.atomic import remove_debris, replacing
from ups_data.conversion.shard_plan import Plan, PlannedShard
from ups_data.conversion.shard_task import Made
from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, LeftOut
from ups_data.writing.written import WrittenShard

FOLDER = ".conversion"


class WorkFolder:
    """`out/.conversion`.

    Attributes:
        lock: file that the conversion at work holds.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._path = out, out / FOLDER
        self.lock = self._path / ".lock"
        self._asides = self._path / "writing" / str(os.getpid())

    def tidy(self) -> None:
        """Remove what a killed conversion was writing. Only for the process that holds the lock."""
        writing = self._path / "writing"
        for _ in range(5):  # zarr's thread may still be at work on what was interrupted
            shutil.rmtree(writing, ignore_errors=True)
            if not writing.exists():
                break
            time.sleep(0.05)
        remove_debris(self._out / MANIFEST)

    def load_plan(self) -> Plan | None:
        """The plan of the conversion that was begun here.

        Raises:
            UpsDataError: it is damaged, or of another version.
        """
        path = self._path / "plan.json"
        try:
            return Plan.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            raise UpsDataError(
                f"{path}: is damaged or of another version ({first}): remove {self._out} and convert anew"
            ) from None

    def save_plan(self, plan: Plan) -> None:
        with replacing(self._path / "plan.json") as file:
            file.write(plan.model_dump_json().encode())

    def aside(self, shard: PlannedShard) -> Path:
        """Where a shard is written."""
        return self._asides / shard.path.replace("/", "-")

    def publish(self, shard: PlannedShard, made: Made) -> None:
        """Rename a shard that was written aside into its place, and record it."""
        place = self._out / shard.path
        shutil.rmtree(place, ignore_errors=True)
        if made.written is not None:
            place.parent.mkdir(exist_ok=True)
            _sync(self.aside(shard))
            self.aside(shard).rename(place)
        record = {
            "written": None if made.written is None else made.written.to_json(),
            "left_out": {str(number): entry.model_dump() for number, entry in made.left_out.items()},
        }
        with replacing(self._record(shard)) as file:
            file.write(json.dumps(record).encode())

    def finished(self, shard: PlannedShard) -> Made | None:
        """What is recorded of a shard; None unless it is there with the size that it had."""
        try:
            record = json.loads(self._record(shard).read_bytes())
            left_out = {int(n): LeftOut.model_validate(entry) for n, entry in record["left_out"].items()}
            written = None if record["written"] is None else WrittenShard.from_json(record["written"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if written is not None and size_of(self._out / shard.path) != written.spec.bytes:
            return None
        return Made(written, left_out)

    def remove(self) -> None:
        """The plan and the records; the lock file last."""
        for path in self._path.iterdir():
            if path != self.lock:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self._path, ignore_errors=True)

    def _record(self, shard: PlannedShard) -> Path:
        return self._path / f"{shard.path.replace('/', '-').removesuffix('.zarr')}.json"


def size_of(shard: Path) -> int:
    """Bytes of a shard's files."""
    return sum(file.stat().st_size for file in _files(shard))


def _files(shard: Path) -> Iterator[Path]:
    return (path for path in shard.rglob("*") if path.is_file())


def _sync(shard: Path) -> None:
    """A record that survives a power cut must not outlive what it records."""
    for file in _files(shard):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
