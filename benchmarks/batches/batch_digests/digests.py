"""The digests of a configuration, and what differs between two runs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .batches import batch_digest
from .configurations import ALIKE
from .ways import Configuration


def digests(configuration: Configuration, folder: Path) -> dict[str, Any]:
    """`digest` of all batches, and of `epochs` each its `digest` and number of `batches`.

    Args:
        folder: the datasets are in it.
    """
    whole, epochs = hashlib.sha256(), []
    for batches in configuration.epochs([folder / name for name in configuration.datasets]):
        digest, count = hashlib.sha256(), 0
        for batch in batches:
            digest.update(batch_digest(batch))
            count += 1
        whole.update(digest.digest())
        epochs.append({"digest": digest.hexdigest(), "batches": count})
    return {"digest": whole.hexdigest(), "epochs": epochs}


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each configuration that is not the same in two runs."""
    lines = []
    for name in dict.fromkeys([*then, *now]):
        if name not in now or name not in then:
            lines.append(f"{name}: only in {'the other' if name in then else 'this'} run")
        elif then[name]["digest"] != now[name]["digest"]:
            pairs = enumerate(zip(then[name]["epochs"], now[name]["epochs"], strict=False))
            told = [_of_epoch(epoch, before, after) for epoch, (before, after) in pairs if before != after]
            lines.append(f"{name}: {'; '.join(told) or 'another number of epochs'}")
    return lines


def _of_epoch(epoch: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    counts = f", {before['batches']} batches and now {after['batches']}" * (before["batches"] != after["batches"])
    return f"epoch {epoch} was {before['digest'][:12]} and is {after['digest'][:12]}{counts}"


def unlike(found: Mapping[str, Any]) -> list[str]:
    """A line for each configuration that should be like another one of the same run and is not."""
    lines = []
    for names in ALIKE:
        done = [name for name in names if name in found]
        lines += [f"{name}: is not as {done[0]}" for name in done[1:] if found[name] != found[done[0]]]
    return lines
