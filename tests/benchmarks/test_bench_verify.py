"""`bench_verify.py` runs on tiny sizes and reports every figure; nothing here is about speed."""

import json

from tests.cli.test_tools import ok


def test_every_mode_of_every_codec_and_the_first_batch(tmp_path):
    out = ok("bench_verify.py", "--small", "--rounds", 2, "--shards", 5, "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    assert set(report["codecs"]) == {"none", "lz4"}
    for modes in report["codecs"].values():
        assert set(modes) == {"never", "first", "always"}
        for rates in modes.values():
            assert set(rates) == {"first_epoch", "later_epochs"}
            assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in rates.values())
    assert report["first_batch"]["shards"] == 5
    assert len(report["first_batch"]["seconds"]) == 2
    assert all(part in out for part in ("never", "first", "always", "slower by", "first batch of 5 shards"))
