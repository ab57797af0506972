"""The page of a run: what it shows is what was recorded, and nothing in it acts."""

import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.seen import Seen
from ups_data import UpsDataError
from ups_data.training.report import write_report
from ups_data.training.report.axes import Axis, told
from ups_data.training.report.charts import Curve, chart, smoothed, thinned
from ups_data.training.report.recorded import PNG

NASTY = "<script>alert(1)</script>\"'\x1b[1m\n&"


def written(out: Path, history: dict[str, Any], steps: list[Any]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    (out / "history.json").write_text(json.dumps(history))
    (out / "metrics.jsonl").write_text("\n".join(map(json.dumps, steps)) + '\n{"epoch": 1, "lo')
    return out


def entry(epoch: int, error: float | None) -> dict[str, Any]:
    return {
        "epoch": epoch, "queries": 26, "ratio": 0.1, "lr": 1e-3, "loss": {"total": 0.5}, "valid_nrmse": error,
        "valid_fields": error and {"u": error}, "seconds": 4.0, "data_seconds": 1.0, "step_seconds_median": 0.02,
    }  # fmt: skip


@pytest.fixture
def page(waves: Path, tmp_path: Path) -> str:
    history = {
        "finished": True,
        "config": {"data": {"root": str(waves)}, "training": {"epochs": 3, "lr": 0.5}},
        "epochs": [entry(0, 0.4), entry(1, 0.04), entry(2, 0.08)],
        "untrained_nrmse": 0.7, "persistence_nrmse": 0.3, "valid_nrmse": 0.08, "seconds": 12.0, "peak_memory_mb": 812.3,
    }  # fmt: skip
    steps = [{"step": n, "loss": {"total": 10.0**-n, "prediction": 0.5}, "lr": n, "queries": 26} for n in range(4)]
    return write_report(written(tmp_path / "run", history, steps), tmp_path / "page.html").read_text()


def pictures(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_curves_are_what_was_recorded(page: str) -> None:
    errors, losses, rate, *_ = pictures(page)
    assert errors.get("aria-label") == "nRMSE, every point against epoch"
    [line] = errors.findall("polyline")
    places = [tuple(map(float, pair.split(","))) for pair in str(line.get("points")).split()]
    (left, high), (middle, low), (right, between) = places
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    # On a logarithmic axis 0.08 is log10(2) of the way from 0.04 to 0.4.
    assert (low - between) / (low - high) == pytest.approx(0.30103, abs=0.002)
    assert len(errors.findall("line[@class='c1 level']")) == len(errors.findall("line[@class='c2 level']")) == 1
    total = [tuple(map(float, p.split(","))) for p in str(losses.findall("polyline")[0].get("points")).split()]
    steps = [b[1] - a[1] for a, b in itertools.pairwise(total)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert rate.findall("text[@class='axis']")[1].text == "learning rate"


def test_figures_and_tables_are_what_was_recorded(page: str) -> None:
    for text in ("0.0800", "0.3000", "0.7000", "12 s", "812 MB", "10 %", "16 × 16", "nu"):
        assert f">{text}<" in page
    assert re.search(r"<tr class=best><td>2</td>.*?0\.04<", page)
    changed = page[page.index("Configuration") :].split("<details>")[0]
    assert "training.lr" in changed
    assert "data.seed" not in changed


def test_nothing_from_a_foreign_run_acts(tmp_path: Path) -> None:
    history = {
        "finished": 3,
        "config": {"data": {"root": f"http://127.0.0.1/{NASTY}", NASTY: NASTY}, NASTY: [NASTY]},
        "epochs": [{**entry(0, 1e400), "valid_fields": {NASTY: 0.3, "b": "x"}, "loss": NASTY, "seconds": "x"}, "x", 3],
        "valid_nrmse": [1], "seconds": NASTY, "untrained_nrmse": True,
    }  # fmt: skip
    steps = [
        {"loss": {NASTY: 0.5, "total": 0.7}},
        {"loss": {NASTY: -0.5, "total": float("nan")}},
        [1],
        None,
        {"loss": 3},
    ]
    out = written(tmp_path / "run<b>", history, steps)
    (out / f"{NASTY.replace('/', '')}.png").write_bytes(PNG + b"rest")
    (out / "no.png").write_bytes(b"GIF89a")
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    (out / "link.png").symlink_to(tmp_path / "secret.png")
    page = write_report(out, tmp_path / "page.html").read_text()
    seen = Seen()
    seen.feed(page)
    assert not seen.tags & {"script", "iframe", "link", "object"}
    assert len(seen.addresses) == 1
    assert seen.addresses[0].startswith("data:image/png;base64,")
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page
    assert "not asked for" in page
    pictures(page)  # well-formed


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UpsDataError, match=r"no history\.json here"):
        write_report(tmp_path, tmp_path / "page.html")
    (tmp_path / "history.json").write_text("[1]")
    with pytest.raises(UpsDataError, match="not a run's history"):
        write_report(tmp_path, tmp_path / "page.html")
    written(tmp_path, {"epochs": []}, [])
    with pytest.raises(UpsDataError, match="cannot be written"):
        write_report(tmp_path, tmp_path / "none" / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert write_report(tmp_path, tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ([0, 10], {}, [0, 2, 4, 6, 8, 10]),
        ([0.013, 0.7], {"log": True}, [0.02, 0.05, 0.1, 0.2, 0.5]),
        ([1e-6, 1], {"log": True}, [1e-6, 1e-4, 1e-2, 1]),
        ([0.501, 0.509], {"log": True}, None),
        ([3, 3], {}, None),
        ([0, 3], {"whole": True}, [0, 1, 2, 3]),
    ],
)
def test_ticks_are_round_and_within(values: list[float], options: dict[str, bool], ticks: list[float] | None) -> None:
    axis = Axis(values, **options)
    found = axis.ticks(6)
    if ticks is not None:
        assert found == pytest.approx(ticks)
    assert 2 <= len(found) <= 8
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick in found)


def test_numbers_are_short() -> None:
    assert [told(v) for v in (0, 0.05, 1500, 3e-5, 1e6, -0.2)] == ["0", "0.05", "1,500", "3 × 10⁻⁵", "10⁶", "-0.2"]


def test_long_curves_keep_their_peaks() -> None:
    points = [(float(n), 0.5) for n in range(100_000)]
    points[77_777] = (77_777.0, 9.0)
    assert len(thinned(points)) <= 1500
    assert max(y for _, y in thinned(points)) == 9.0
    assert smoothed([(float(n), float(n)) for n in range(100)]) == [(float(n), float(n)) for n in range(100)]
    assert chart([Curve("none", [(0, float("nan"))])], x="step", y="loss", log=True) == ""
