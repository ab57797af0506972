"""A folder for what is on its way to a place: the same for the same place, so that a later run finds it."""

import hashlib
import os
import tempfile
from pathlib import Path

from ups_data.errors import UpsDataError

WORK = "UPS_DATA_WORK"


def staging_folder(place: str) -> Path:
    """The folder for what goes to `place`, made if need be: below `UPS_DATA_WORK`, or the system's temporary folder.

    Raises:
        UpsDataError: it is somebody else's, or cannot be made.
    """
    top = Path(os.environ.get(WORK) or Path(tempfile.gettempdir(), f"ups_data-{os.getuid()}"))
    folder = top / hashlib.sha256(place.encode()).hexdigest()[:16]
    try:
        top.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = top.lstat()
        if not top.is_dir() or top.is_symlink() or found.st_uid != os.getuid():
            raise UpsDataError(f"{top}: is not a folder of yours; name one in the environment variable {WORK}")
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UpsDataError(
            f"{folder}: cannot be made ({error.strerror}); name a folder with room in the environment variable {WORK}"
        ) from None
    return folder
