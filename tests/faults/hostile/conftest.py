"""What tests of hostile input share: a folder that anybody may enter, and the process that tries it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hostile.around import Around
from tests.faults.hostile.tryer import Tryer


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """Not pytest's own, which nobody else may enter: some cases are tried by a user without rights."""
    folder = Path(tempfile.mkdtemp(prefix="ups-hostile-")).resolve()
    folder.chmod(0o777)
    yield folder
    for path, folders, _ in os.walk(folder):
        for name in folders:
            if not os.path.islink(os.path.join(path, name)):
                os.chmod(os.path.join(path, name), 0o700)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def tryer(open_folder: Path) -> Iterator[Tryer]:
    tryer = Tryer(open_folder / "tryer")
    yield tryer
    tryer.close()


@pytest.fixture
def around(open_folder: Path) -> Iterator[Around]:
    folder = Path(tempfile.mkdtemp(dir=open_folder))
    folder.chmod(0o777)
    around = Around(folder)
    around.given.chmod(0o777)
    yield around
    around.given.chmod(0o777)
    shutil.rmtree(folder)
