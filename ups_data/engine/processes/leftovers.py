"""What a killed process leaves in the temporary folder: the address of its fork server, in a folder of its own.

`multiprocessing` removes that folder when a process ends by itself. After SIGKILL the next process that starts workers
does: the folders in use hold a file that their process has locked.
"""

import fcntl
import os
import shutil
from multiprocessing.util import get_temp_dir
from pathlib import Path

_claimed: dict[int, int] = {}  # process → descriptor, open and locked as long as the process lives


def claim_temporary_folder() -> Path:
    """Mark this process's folder as in use, and remove those of processes that are gone."""
    folder = Path(get_temp_dir())
    if os.getpid() not in _claimed:
        aside, lock = folder / f"claim-{os.getpid()}", folder / f"ups_data-{os.getpid()}.lock"
        fd = os.open(aside, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        aside.rename(lock)  # locked from the first moment that it can be seen
        _claimed[os.getpid()] = fd
    for other in folder.parent.glob("pymp-*"):
        if other != folder and _is_left(other):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _is_left(folder: Path) -> bool:
    """Whether processes of this project used the folder, and none does any more."""
    locks = list(folder.glob("ups_data-*.lock"))
    return bool(locks) and all(map(_is_free, locks))


def _is_free(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
