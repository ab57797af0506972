"""What a dataset was converted from, kept beside its manifest, so that the same command can tell what is new."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from ups_data.atomic import exclusive
from ups_data.conversion.fingerprint import FileMark, Identity
from ups_data.errors import UpsDataError
from ups_data.schema import MANIFEST, limits
from ups_data.schema.specs import Model
from ups_data.schema.texts.json_text import parse_json
from ups_data.writing.folders import read_own


class Record(Model):
    """`like`: source and key of the trajectory that all others are like. It is read back from a folder that may come
    from anywhere, and only compared."""

    identity: Identity
    like: tuple[str, str]

    def to_bytes(self) -> bytes:
        """The file; times of the source's files are no part of it."""
        files = {name: FileMark(size=m.size, mtime_ns=0, ends=m.ends) for name, m in self.identity.files.items()}
        kept = self.model_copy(update={"identity": self.identity.model_copy(update={"files": files})})
        return kept.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> "Record | None":
        """What `to_bytes` gave; None for anything else."""
        try:
            return cls.model_validate(parse_json(text))
        except (ValidationError, ValueError, RecursionError):
            return None


@contextmanager
def unchanged(root: Path, base: str | None) -> Iterator[None]:
    """Hold a dataset's manifest, as those do that add importance, to put another one into its place.

    Args:
        root: of the dataset.
        base: digest of the manifest that must lie there; None: any, or none.

    Raises:
        UpsDataError: it is another one, or another process holds it.
    """
    if base is None:
        yield
        return
    try:
        with exclusive(root / MANIFEST):
            if digest_of(read_own(root / MANIFEST, limits.JSON_BYTES)) != base:
                raise UpsDataError(f"{root} was changed meanwhile: run the same command again")
            yield
    except BlockingIOError:
        raise UpsDataError(
            f"{root}: another process is at work on this dataset: wait for its end, and run the same command again"
        ) from None


def digest_of(manifest: bytes) -> str:
    """By which a plan of an append knows the manifest that it appends to."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
