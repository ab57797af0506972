"""The page `docs/add-a-store.md`, word for word: a store outside of the package that keeps the contract."""

import importlib
import re
import sys
import zipfile
from pathlib import Path

import pytest

from tests.store.contract import StoreContract
from tests.store.reading import contents, digests, write_blocks
from ups_data import QuerySampling, UpsDataError
from ups_data.store.verify import verify_dataset

PAGE = Path(__file__).parents[2] / "docs" / "add-a-store.md"
DEFINED, USED, TESTED = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture(scope="module", autouse=True)
def _module(tmp_path_factory):
    """The page's module, to be imported by worker processes too; forgotten afterwards."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "zipped.py").write_text(DEFINED)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(folder))
    del sys.modules["zipped"]


class ZippedStore:
    """The page's, found when it is made: its module exists while tests run."""

    def __new__(cls, path):
        return importlib.import_module("zipped").ZippedStore(path)


_page = {"zipfile": zipfile, "ZippedStore": ZippedStore}
exec(compile(TESTED, str(PAGE), "exec"), _page)
TestZippedStore = type("TestZippedStore", (_page["TestZippedStore"],), {"__module__": __name__})
assert issubclass(TestZippedStore, StoreContract)


def filled(root, folder):
    return TestZippedStore().filled(contents(root), folder)


def test_the_page_as_a_program(tmp_path, monkeypatch):
    write_blocks(tmp_path / "d", codec="lz4")
    filled(tmp_path / "d", tmp_path)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(USED, str(PAGE), "exec"), found)
    of_zip = digests(found["store"], sampling=QuerySampling(ratio=0.2), num_workers=1)
    assert of_zip == digests(tmp_path / "d", sampling=QuerySampling(ratio=0.2), threads=0)
    assert len(list(found["loader"])) == len(of_zip) // 2


def test_a_damaged_archive_is_one_line(tmp_path):
    write_blocks(tmp_path / "d")
    store = filled(tmp_path / "d", tmp_path)
    data = (tmp_path / "run.zip").read_bytes()
    (tmp_path / "run.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(UpsDataError, match=r"run\.zip cannot be read") as error:
        verify_dataset(type(store)(tmp_path / "run.zip"))
    assert "\n" not in str(error.value)
