"""A run that is stopped, an append to its dataset, and the same command again: exact, or refused, as documented."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.runs import QUIET, config, outcome
from ups_data import UpsDataError
from ups_data.conversion.convert import convert
from ups_data.conversion.splitting.by_file import ByFile
from ups_data.training import train

STOP = 18


def add_runs(raw: Path, split: dict[str, list[int]]) -> ByFile:
    """A file for each run, and the rule that deals them."""
    raw.mkdir(exist_ok=True)
    lines = ["split,source,key"]
    for name, numbers in split.items():
        for n in numbers:
            u = np.random.default_rng(n).standard_normal((1, 6, 8, 8, 1)).astype(np.float32)
            if not (raw / f"run_{n:02d}.npz").exists():
                np.savez(raw / f"run_{n:02d}.npz", u=u)
            lines.append(f"{name},run_{n:02d}.npz,0000")
    (raw.parent / "splits.csv").write_text("\n".join(lines))
    return ByFile(raw.parent / "splits.csv", raw)


@pytest.mark.slow
@pytest.mark.parametrize("grows", ["valid", "train"])
def test_a_run_across_an_append(grows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, split = tmp_path / "raw", {"train": [0, 1, 2, 3, 4, 5], "valid": [6, 7]}
    for name in ("d", "before"):
        convert(raw, tmp_path / name, split=add_runs(raw, split))
    if grows == "valid":  # only its figures of validation differ
        whole = config(tmp_path / "before", tmp_path / "whole", epochs=4)
        train(whole, console=QUIET)
    given, step, done = config(tmp_path / "d", tmp_path / "run", epochs=4), torch.optim.AdamW.step, []

    def stopping(self, *args, **more):
        done.append(None)
        if len(done) == STOP:
            raise InterruptedError
        return step(self, *args, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", stopping)
    with pytest.raises(InterruptedError):
        train(given, console=QUIET)
    monkeypatch.undo()
    split[grows] += [8, 9]
    convert(raw, tmp_path / "d", split=add_runs(raw, split))
    if grows == "train":
        with pytest.raises(UpsDataError, match="samples was 30 and is 40") as error:
            train(given, console=QUIET)
        assert "\n" not in str(error.value)
        return
    train(given, console=QUIET)
    one, other = outcome(tmp_path / "whole"), outcome(tmp_path / "run")
    assert {name: one[name] for name in ("model", "optimiser", "rng")} == {
        name: other[name] for name in ("model", "optimiser", "rng")
    }
