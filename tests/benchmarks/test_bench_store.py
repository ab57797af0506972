"""The benchmark on a slow web server runs on tiny sizes and reports every figure; nothing here is about speed."""

import json
import sys
from subprocess import run

import pytest

from benchmarks.remote.serving import MODULES, serve
from benchmarks.remote.systems import ranges_of

pytest.importorskip("obstore", reason="needs obstore")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def test_ranges_are_those_of_the_servers_log():
    log = b"GET /d/dataset.json - 200 900\nGET /d/a/c/0 bytes=10-19 206 10\nGET /d/b/c/0 bytes=0-3 206 4\n"
    assert ranges_of(log) == ([("/d/a/c/0", 10, 20), ("/d/b/c/0", 0, 4)], 914)


@pytest.mark.parametrize("nginx", [True, False])
def test_both_servers_answer_ranges_and_write_a_log(tmp_path, monkeypatch, nginx):
    import obstore
    from obstore.store import HTTPStore

    if nginx and not (MODULES / "ngx_http_lua_module.so").exists():
        pytest.skip("nginx with its Lua module is not installed")
    if not nginx:
        monkeypatch.setattr("benchmarks.remote.serving.MODULES", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(bytes(range(100)))
    with serve(tmp_path, 0.0) as (url, log):
        store = HTTPStore.from_url(url, client_options={"allow_http": True})
        assert bytes(obstore.get_range(store, "a/b", start=10, end=20)) == bytes(range(10, 20))
        assert bytes(obstore.get(store, "a/b").bytes()) == bytes(range(100))
        with pytest.raises(FileNotFoundError):
            obstore.get(store, "missing")
        assert ranges_of(b"\n".join(log.read_bytes().splitlines()[:2])) == ([("/a/b", 10, 20)], 110)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--pack"], ["--cold"], ["--workload", "grid3d"], ["--consume", "0.01"]])
def test_the_benchmark_runs(data, options):
    out = data / "out.json"
    command = [sys.executable, "-m", "benchmarks.remote.bench_store", "--small", "--rounds", "1", "--data", str(data)]
    run([*command, "--latency", "0.005", "--json", str(out), *options], check=True)
    figures = json.loads(out.read_text())
    assert figures["ups_data"][0]["samples"] > 0
    assert len(figures) == (2 if "--cold" in options else 1 if "--consume" in options else 6)
