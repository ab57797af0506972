"""What a dataset was converted from, kept beside its manifest, so that the same command can tell what is new."""

import hashlib

from pydantic import ValidationError

from ups_data.conversion.fingerprint import FileMark, Identity
from ups_data.schema.file import RECORD
from ups_data.schema.json_text import parse_json
from ups_data.schema.specs import Model

__all__ = ["RECORD", "Record", "digest_of"]


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


def digest_of(manifest: bytes) -> str:
    """By which a plan of an append knows the manifest that it appends to."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
