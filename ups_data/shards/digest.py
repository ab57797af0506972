"""One number for a whole shard."""

import hashlib
from pathlib import Path


def shard_digest(shard: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a shard: of the names, sizes and contents of its files in the names' order."""
    total, digest = 0, hashlib.sha256()
    for file in sorted(p for p in shard.rglob("*") if p.is_file()):
        size = file.stat().st_size
        total += size
        digest.update(f"{file.relative_to(shard).as_posix()}\0{size}\0".encode())
        with open(file, "rb") as f:
            while piece := f.read(1 << 20):
                digest.update(piece)
    return total, f"sha256:{digest.hexdigest()}"
