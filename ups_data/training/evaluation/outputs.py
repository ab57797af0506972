"""Files that an evaluation writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ups_data.atomic import check_place, replacing
from ups_data.errors import UpsDataError


def check_outputs(folder: Path | None, json_file: Path | None) -> None:
    """Refuse what cannot be written to before anything is computed.

    Raises:
        UpsDataError: a folder that is a file, a file that is a folder or no regular file, or has no folder.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UpsDataError(f"--out {folder}: is a file: name a folder for the pictures")
    if json_file is not None:
        check_place(json_file)


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """The whole file, or none."""
    with replacing(path) as file:
        file.write(json.dumps(values, indent=1, allow_nan=False).encode() + b"\n")
